#include "fuzz/memory_file.h"

#include <sys/mman.h>
#include <unistd.h>

#include <stdexcept>
#include <string>

namespace mantissa::fuzz {

MemoryFile::MemoryFile(std::string_view bytes, std::size_t zeros)
    : descriptor_(::memfd_create("fuzz", 0)) {
  if (descriptor_ < 0) throw std::runtime_error("memfd_create");
  const std::size_t size = bytes.size();
  while (!bytes.empty()) {
    const ssize_t count = ::write(descriptor_, bytes.data(), bytes.size());
    if (count <= 0) throw std::runtime_error("write to a memfd");
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
  if (::ftruncate(descriptor_, static_cast<off_t>(size + zeros)) != 0) {
    throw std::runtime_error("ftruncate of a memfd");
  }
}

MemoryFile::~MemoryFile() { ::close(descriptor_); }

std::filesystem::path MemoryFile::path() const {
  return "/proc/self/fd/" + std::to_string(descriptor_);
}

}  // namespace mantissa::fuzz
