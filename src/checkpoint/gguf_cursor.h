#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/input_file.h"

namespace mantissa {

/// Reads the head of a GGUF file front to back through a small buffer. Nothing
/// is allocated for more bytes than the file still has.
class GgufCursor {
 public:
  explicit GgufCursor(const InputFile& file) : file_(file) {}

  const InputFile& file() const { return file_; }
  std::int64_t position() const { return position_; }
  std::int64_t remaining() const { return file_.size() - position_; }

  /// What is being read, for messages: "tensor \"a\": offset".
  void set_subject(std::string subject) { subject_ = std::move(subject); }

  /// An unsigned little-endian number of `bytes` (1, 2, 4 or 8) bytes. Throws
  /// Error(Input) "truncated" at the end of the file.
  std::uint64_t unsigned_number(int bytes);
  /// A u64 length and as many bytes. Throws Error(Input) when the length is
  /// above `limit` or the bytes left in the file.
  std::string string(std::int64_t limit);
  /// A u64 count of records of at least `record_bytes` bytes each. Throws
  /// Error(Input) when it is above `limit` or what the bytes left can hold.
  std::int64_t count(std::int64_t record_bytes, std::int64_t limit);

  /// Throws Error(Input): file, subject, `what`.
  [[noreturn]] void fail(std::string_view what) const;

 private:
  void read(std::byte* out, std::size_t bytes);
  void refill();

  const InputFile& file_;
  std::string subject_;
  std::int64_t position_ = 0;
  std::vector<std::byte> buffer_;
  std::size_t used_ = 0;
};

}  // namespace mantissa
