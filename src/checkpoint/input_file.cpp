#include "checkpoint/input_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <mantissa/core/error.h>

#include "checkpoint/hash.h"

namespace mantissa {
namespace {

[[noreturn]] void fail(const std::filesystem::path& path, std::string what) {
  throw Error(ErrorKind::Input, path.string() + ": " + std::move(what));
}

}  // namespace

InputFile::InputFile(std::filesystem::path path) : path_(std::move(path)) {
  // O_NONBLOCK: opening a FIFO must not wait for a writer.
  descriptor_ = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor_ < 0) {
    fail(path_, fmt::format("cannot be opened: {}", std::strerror(errno)));
  }
  struct stat status = {};
  const bool known = ::fstat(descriptor_, &status) == 0;
  if (!known || !S_ISREG(status.st_mode)) {
    ::close(std::exchange(descriptor_, -1));
    fail(path_, "expected a regular file");
  }
  size_ = status.st_size;
  identity_ = {path_.filename().string(),
               size_,
               status.st_mtim.tv_sec * std::int64_t{1'000'000'000} +
                   status.st_mtim.tv_nsec,
               status.st_ino};
}

InputFile::~InputFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

InputFile::InputFile(InputFile&& other) noexcept
    : path_(std::move(other.path_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      size_(other.size_),
      identity_(std::move(other.identity_)) {}

InputFile& InputFile::operator=(InputFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(descriptor_, other.descriptor_);
  std::swap(size_, other.size_);
  std::swap(identity_, other.identity_);
  return *this;
}

void InputFile::read_at(std::int64_t offset, std::span<std::byte> out) const {
  const auto wanted = static_cast<std::int64_t>(out.size());
  if (offset < 0 || offset > size_ || wanted > size_ - offset) {
    fail(path_,
         fmt::format("{} bytes at byte {} are outside the file of {} bytes",
                     wanted,
                     offset,
                     size_));
  }
  while (!out.empty()) {
    const ssize_t got = ::pread(descriptor_, out.data(), out.size(), offset);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      fail(path_, fmt::format("cannot be read: {}", std::strerror(errno)));
    }
    if (got == 0) {
      fail(path_,
           fmt::format("ends at byte {}, but had {} bytes when it was opened; "
                       "something is writing to it",
                       offset,
                       size_));
    }
    offset += got;
    out = out.subspan(static_cast<std::size_t>(got));
  }
}

std::uint64_t hash_bytes(const InputFile& file,
                         std::int64_t offset,
                         std::int64_t bytes) {
  Hash64 hash;
  std::vector<std::byte> buffer(static_cast<std::size_t>(
      std::min<std::int64_t>(bytes, std::int64_t{1} << 20)));
  while (hash.bytes() < bytes) {
    const std::span<std::byte> part(
        buffer.data(),
        std::min(buffer.size(),
                 static_cast<std::size_t>(bytes - hash.bytes())));
    file.read_at(offset + hash.bytes(), part);
    hash.add(part);
  }
  return hash.digest();
}

FileHash hash_file(const std::filesystem::path& path) {
  const InputFile file(path);
  return {file.size(), hash_bytes(file, 0, file.size())};
}

std::string read_text(const std::filesystem::path& path, std::int64_t limit) {
  const InputFile file(path);
  if (file.size() > limit) {
    fail(path,
         fmt::format("{} bytes, expected at most {}", file.size(), limit));
  }
  std::string text(static_cast<std::size_t>(file.size()), '\0');
  file.read_at(0, std::as_writable_bytes(std::span(text)));
  return text;
}

}  // namespace mantissa
