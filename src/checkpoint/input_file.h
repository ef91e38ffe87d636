#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include <mantissa/checkpoint/source.h>

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
  /// What the file was when it was opened.
  const SourceFile& identity() const { return identity_; }
  /// Bytes [offset, offset + out.size()). Throws Error(Input) when the range is
  /// outside the file or the file has become shorter.
  void read_at(std::int64_t offset, std::span<std::byte> out) const;

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
  std::int64_t size_ = 0;
  SourceFile identity_;
};

/// XXH3 of bytes of a file, read in pieces. Throws as InputFile::read_at().
std::uint64_t hash_bytes(const InputFile& file,
                         std::int64_t offset,
                         std::int64_t bytes);

/// Size and XXH3 of a whole file, read in pieces. Throws Error(Input).
struct FileHash {
  std::int64_t bytes;
  std::uint64_t xxh3;
};
FileHash hash_file(const std::filesystem::path& path);

/// The contents of a text file of at most `limit` bytes. Throws Error(Input).
std::string read_text(const std::filesystem::path& path, std::int64_t limit);

}  // namespace mantissa
