#pragma once

#include <filesystem>
#include <string_view>

namespace mantissa::fuzz {

/// A file in memory that readers open by its path.
class MemoryFile {
 public:
  /// The bytes and then `zeros` zero bytes.
  explicit MemoryFile(std::string_view bytes, std::size_t zeros = 0);
  ~MemoryFile();
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  std::filesystem::path path() const;

 private:
  int descriptor_;
};

}  // namespace mantissa::fuzz
