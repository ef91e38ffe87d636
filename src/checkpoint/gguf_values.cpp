#include "checkpoint/gguf_values.h"

#include <bit>
#include <optional>

#include <fmt/format.h>

#include "core/quoted.h"
#include "core/utf8.h"

namespace mantissa {
namespace {

// Type numbers of values in a file.
enum ValueType : std::uint64_t {
  kUint8 = 0,
  kInt8 = 1,
  kUint16 = 2,
  kInt16 = 3,
  kUint32 = 4,
  kInt32 = 5,
  kFloat32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kUint64 = 10,
  kInt64 = 11,
  kFloat64 = 12,
};

enum class Kind { Unsigned, Signed, Float, Bool, String };

struct Scalar {
  Kind kind;
  int bytes;  // of a string: its length field
};

std::optional<Scalar> scalar_of(std::uint64_t type) {
  switch (type) {
    case kUint8:
      return Scalar{Kind::Unsigned, 1};
    case kUint16:
      return Scalar{Kind::Unsigned, 2};
    case kUint32:
      return Scalar{Kind::Unsigned, 4};
    case kUint64:
      return Scalar{Kind::Unsigned, 8};
    case kInt8:
      return Scalar{Kind::Signed, 1};
    case kInt16:
      return Scalar{Kind::Signed, 2};
    case kInt32:
      return Scalar{Kind::Signed, 4};
    case kInt64:
      return Scalar{Kind::Signed, 8};
    case kFloat32:
      return Scalar{Kind::Float, 4};
    case kFloat64:
      return Scalar{Kind::Float, 8};
    case kBool:
      return Scalar{Kind::Bool, 1};
    case kString:
      return Scalar{Kind::String, 8};
    default:
      return std::nullopt;
  }
}

std::int64_t read_signed(GgufCursor& in, int bytes) {
  const std::uint64_t raw = in.unsigned_number(bytes);
  const int shift = 64 - 8 * bytes;
  return static_cast<std::int64_t>(raw << shift) >> shift;
}

double read_float(GgufCursor& in, int bytes) {
  const std::uint64_t raw = in.unsigned_number(bytes);
  if (bytes == 8) return std::bit_cast<double>(raw);
  return std::bit_cast<float>(static_cast<std::uint32_t>(raw));
}

bool read_bool(GgufCursor& in) {
  const std::uint64_t raw = in.unsigned_number(1);
  if (raw > 1) in.fail(fmt::format("bool: expected 0 or 1, found {}", raw));
  return raw == 1;
}

template <class T, class Read>
std::vector<T> read_many(std::int64_t count, const Read& read) {
  std::vector<T> values;
  values.reserve(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i) values.push_back(read());
  return values;
}

GgufValue read_scalar(GgufCursor& in,
                      const Scalar& scalar,
                      const GgufLimits& limits) {
  switch (scalar.kind) {
    case Kind::Unsigned:
      return in.unsigned_number(scalar.bytes);
    case Kind::Signed:
      return read_signed(in, scalar.bytes);
    case Kind::Float:
      return read_float(in, scalar.bytes);
    case Kind::Bool:
      return read_bool(in);
    case Kind::String:
      return in.string(limits.string_bytes);
  }
  return {};
}

GgufValue read_array(GgufCursor& in, const GgufLimits& limits) {
  const std::uint64_t type = in.unsigned_number(4);
  if (type == kArray) in.fail("array: arrays of arrays are not allowed");
  const std::optional<Scalar> scalar = scalar_of(type);
  if (!scalar) in.fail(fmt::format("array: unknown element type {}", type));
  const std::int64_t count = in.count(scalar->bytes, limits.array);
  switch (scalar->kind) {
    case Kind::Unsigned:
      return read_many<std::uint64_t>(
          count, [&] { return in.unsigned_number(scalar->bytes); });
    case Kind::Signed:
      return read_many<std::int64_t>(
          count, [&] { return read_signed(in, scalar->bytes); });
    case Kind::Float:
      return read_many<double>(count,
                               [&] { return read_float(in, scalar->bytes); });
    case Kind::Bool:
      return read_many<bool>(count, [&] { return read_bool(in); });
    case Kind::String:
      return read_many<std::string>(
          count, [&] { return in.string(limits.string_bytes); });
  }
  return {};
}

}  // namespace

void read_pair(GgufCursor& in,
               std::int64_t index,
               const GgufLimits& limits,
               GgufMetadata& metadata) {
  in.set_subject(fmt::format("key {}", index));
  std::string key = in.string(limits.key_bytes);
  if (key.empty()) in.fail("name: empty");
  if (!is_printable_utf8(key)) {
    in.fail(fmt::format("name: {} is not printable UTF-8", quoted_name(key)));
  }
  in.set_subject(fmt::format("key {}", quoted_name(key)));
  const std::uint64_t type = in.unsigned_number(4);
  const std::optional<Scalar> scalar = scalar_of(type);
  if (!scalar && type != kArray) {
    in.fail(fmt::format("type: unknown number {}", type));
  }
  GgufValue value =
      scalar ? read_scalar(in, *scalar, limits) : read_array(in, limits);
  if (!metadata.add(std::move(key), std::move(value))) {
    in.fail("name: appears twice");
  }
}

}  // namespace mantissa
