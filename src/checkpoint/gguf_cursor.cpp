#include "checkpoint/gguf_cursor.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include <mantissa/core/error.h>

namespace mantissa {
namespace {

constexpr std::int64_t kBufferBytes = 64 << 10;

}  // namespace

void GgufCursor::refill() {
  const std::int64_t bytes = std::min(kBufferBytes, remaining());
  buffer_.resize(static_cast<std::size_t>(bytes));
  file_.read_at(position_, buffer_);
  used_ = 0;
}

void GgufCursor::read(std::byte* out, std::size_t bytes) {
  if (static_cast<std::int64_t>(bytes) > remaining()) {
    fail(
        fmt::format("truncated: {} bytes expected at byte {}, {} left in the "
                    "file; fetch it again",
                    bytes,
                    position_,
                    remaining()));
  }
  while (bytes > 0) {
    if (used_ == buffer_.size()) refill();
    const std::size_t take = std::min(bytes, buffer_.size() - used_);
    std::memcpy(out, buffer_.data() + used_, take);
    used_ += take;
    out += take;
    bytes -= take;
    position_ += static_cast<std::int64_t>(take);
  }
}

std::uint64_t GgufCursor::unsigned_number(int bytes) {
  std::byte raw[8] = {};
  read(raw, static_cast<std::size_t>(bytes));
  std::uint64_t value = 0;
  for (int i = bytes - 1; i >= 0; --i) {
    value = value << 8 | std::to_integer<std::uint64_t>(raw[i]);
  }
  return value;
}

std::string GgufCursor::string(std::int64_t limit) {
  const std::uint64_t length = unsigned_number(8);
  if (length > static_cast<std::uint64_t>(remaining())) {
    fail(fmt::format(
        "string length: {} bytes, {} left in the file", length, remaining()));
  }
  if (length > static_cast<std::uint64_t>(limit)) {
    fail(fmt::format(
        "string length: {} bytes, expected at most {}", length, limit));
  }
  std::string text(static_cast<std::size_t>(length), '\0');
  read(reinterpret_cast<std::byte*>(text.data()), text.size());
  return text;
}

std::int64_t GgufCursor::count(std::int64_t record_bytes, std::int64_t limit) {
  const std::uint64_t count = unsigned_number(8);
  const std::int64_t fit = remaining() / record_bytes;
  if (count > static_cast<std::uint64_t>(fit)) {
    fail(fmt::format("count: {}, the {} bytes left in the file hold at most {}",
                     count,
                     remaining(),
                     fit));
  }
  if (count > static_cast<std::uint64_t>(limit)) {
    fail(fmt::format("count: {}, expected at most {}", count, limit));
  }
  return static_cast<std::int64_t>(count);
}

void GgufCursor::fail(std::string_view what) const {
  throw Error(ErrorKind::Input,
              fmt::format("{}: {}{}{}",
                          file_.path().string(),
                          subject_,
                          subject_.empty() ? "" : ": ",
                          what));
}

}  // namespace mantissa
