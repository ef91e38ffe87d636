#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

namespace mantissa {

/// A regular file opened for reading with pread: a file that shrinks behind our
/// back is an error, never a SIGBUS. Safe to read from several threads.
class InputFile {
 public:
  /// Follows symlinks. Throws Error(Input) when the path cannot be opened or
  /// does not end at a regular file.
  explicit InputFile(std::filesystem::path path);
  ~InputFile();
  InputFile(InputFile&& other) noexcept;
  InputFile& operator=(InputFile&& other) noexcept;

  const std::filesystem::path& path() const { return path_; }
  /// Bytes when the file was opened.
  std::int64_t size() const { return size_; }
  /// Bytes [offset, offset + out.size()). Throws Error(Input) when the range is
  /// outside the file or the file has become shorter.
  void read_at(std::int64_t offset, std::span<std::byte> out) const;

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
  std::int64_t size_ = 0;
};

/// The contents of a text file of at most `limit` bytes. Throws Error(Input).
std::string read_text(const std::filesystem::path& path, std::int64_t limit);

}  // namespace mantissa
