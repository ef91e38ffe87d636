#include "checkpoint/gguf_file.h"

#include <bit>
#include <cstring>
#include <unordered_set>

#include <fmt/format.h>

#include <mantissa/core/error.h>

#include "checkpoint/gguf_cursor.h"
#include "checkpoint/gguf_values.h"
#include "core/quoted.h"
#include "core/utf8.h"

namespace mantissa {
namespace {

constexpr std::uint64_t kMagic = 0x46554747;  // "GGUF", little-endian
constexpr std::uint64_t kVersion = 3;
constexpr std::int64_t kDefaultAlignment = 32;
constexpr std::int64_t kMaxRank = 4;
constexpr std::int64_t kMaxNameBytes = 63;
// Name length, one byte of name, rank, type, offset.
constexpr std::int64_t kMinTensorBytes = 8 + 1 + 4 + 4 + 8;
// Key length, one byte of key, type, one byte of value.
constexpr std::int64_t kMinPairBytes = 8 + 1 + 4 + 1;

struct Counts {
  std::int64_t tensors;
  std::int64_t pairs;
};

Counts read_preamble(GgufCursor& in, const GgufLimits& limits) {
  in.set_subject("magic");
  if (in.unsigned_number(4) != kMagic) {
    in.fail("expected \"GGUF\" in the first four bytes");
  }
  in.set_subject("version");
  const std::uint64_t version = in.unsigned_number(4);
  if (version != kVersion && (version & 0xffff) == 0) {
    in.fail(
        "the file is big-endian; this version reads little-endian files "
        "only: convert it with gguf_convert_endian.py");
  }
  if (version != kVersion) {
    in.fail(
        fmt::format("expected 3, found {}; write it again with a current "
                    "llama.cpp",
                    version));
  }
  in.set_subject("tensor count");
  const std::int64_t tensors = in.count(kMinTensorBytes, limits.tensors);
  in.set_subject("key count");
  return {tensors, in.count(kMinPairBytes, limits.keys)};
}

std::int64_t read_alignment(GgufCursor& in,
                            const GgufMetadata& metadata,
                            const GgufLimits& limits) {
  in.set_subject("key \"general.alignment\"");
  const GgufValue* value = metadata.find("general.alignment");
  if (value == nullptr) return kDefaultAlignment;
  const auto* number = std::get_if<std::uint64_t>(value);
  if (number == nullptr) {
    in.fail(fmt::format("alignment: expected an unsigned integer, found {}",
                        kind_name(*value)));
  }
  if (!std::has_single_bit(*number) ||
      *number > static_cast<std::uint64_t>(limits.alignment)) {
    in.fail(
        fmt::format("alignment: expected a power of two of at most {}, "
                    "found {}",
                    limits.alignment,
                    *number));
  }
  return static_cast<std::int64_t>(*number);
}

// a * b, or an error that names what overflows.
std::int64_t multiply(const GgufCursor& in,
                      std::string_view what,
                      std::int64_t a,
                      std::int64_t b) {
  std::int64_t product = 0;
  if (__builtin_mul_overflow(a, b, &product)) {
    in.fail(fmt::format("{}: overflow in {} * {}", what, a, b));
  }
  return product;
}

std::int64_t add(const GgufCursor& in, std::int64_t a, std::int64_t b) {
  std::int64_t sum = 0;
  if (__builtin_add_overflow(a, b, &sum)) {
    in.fail(fmt::format("byte size: overflow in {} + {}", a, b));
  }
  return sum;
}

std::int64_t pad(const GgufCursor& in,
                 std::int64_t value,
                 std::int64_t alignment) {
  return add(in, value, alignment - 1) & ~(alignment - 1);
}

// Dimensions, innermost first in the file.
Shape read_shape(GgufCursor& in) {
  const std::uint64_t rank = in.unsigned_number(4);
  if (rank > static_cast<std::uint64_t>(kMaxRank)) {
    in.fail(fmt::format("rank: expected at most {}, found {}", kMaxRank, rank));
  }
  Shape shape(static_cast<std::size_t>(rank));
  for (auto extent = shape.rbegin(); extent != shape.rend(); ++extent) {
    const auto value = static_cast<std::int64_t>(in.unsigned_number(8));
    if (value < 0) {
      in.fail(fmt::format("dimension: expected >= 0, found {}", value));
    }
    *extent = value;
  }
  return shape;
}

const GgmlTypeInfo& read_type(GgufCursor& in, const std::string& subject) {
  const std::uint64_t number = in.unsigned_number(4);
  const auto type = static_cast<std::uint32_t>(number);
  if (const GgmlTypeInfo* row = find_ggml_type(type)) return *row;
  const std::string_view name = ggml_type_name(type);
  if (name.empty()) in.fail(fmt::format("type: unknown number {}", number));
  throw Error(ErrorKind::Usage,
              fmt::format("{}: {}: type: {} is not read by this version; it "
                          "reads {}",
                          in.file().path().string(),
                          subject,
                          name,
                          readable_ggml_types()));
}

// Fills row_bytes and bytes. Overflow is checked over the extents that are not
// zero, so that no product wraps before a zero hides it.
void measure(const GgufCursor& in, GgufTensor& tensor) {
  const GgmlTypeInfo& type = *tensor.type;
  const std::int64_t columns = tensor.shape.empty() ? 1 : tensor.shape.back();
  if (columns % type.block_size != 0) {
    in.fail(
        fmt::format("row length: {} is not divisible by the {} values of a "
                    "{} block",
                    columns,
                    type.block_size,
                    type.name));
  }
  tensor.row_bytes =
      multiply(in, "byte size", columns / type.block_size, type.block_bytes);
  std::int64_t elements = 1;
  bool empty = false;
  for (const std::int64_t extent : tensor.shape) {
    if (extent == 0) {
      empty = true;
    } else {
      elements = multiply(in, "element count", elements, extent);
    }
  }
  // Rounded up only when the row length itself is zero.
  const std::int64_t bytes =
      multiply(in,
               "byte size",
               (elements + type.block_size - 1) / type.block_size,
               type.block_bytes);
  tensor.bytes = empty ? 0 : bytes;
}

std::string read_name(GgufCursor& in, std::unordered_set<std::string>& names) {
  std::string name = in.string(kMaxNameBytes);
  if (name.empty()) in.fail("name: empty");
  if (!is_printable_utf8(name)) {
    in.fail(fmt::format("name: {} is not printable UTF-8", quoted_name(name)));
  }
  if (!names.insert(name).second) {
    in.fail(fmt::format("name: {} appears twice", quoted_name(name)));
  }
  return name;
}

GgufTensor read_tensor(GgufCursor& in,
                       std::int64_t index,
                       std::unordered_set<std::string>& names) {
  in.set_subject(fmt::format("tensor {}", index));
  GgufTensor tensor;
  tensor.name = read_name(in, names);
  const std::string subject =
      fmt::format("tensor {}", quoted_name(tensor.name));
  in.set_subject(subject);
  tensor.shape = read_shape(in);
  tensor.type = &read_type(in, subject);
  measure(in, tensor);
  tensor.offset = static_cast<std::int64_t>(in.unsigned_number(8));
  return tensor;
}

// Offsets are relative in the file: each must be the padded sum of the sizes
// before it. Makes them absolute.
void place_tensors(GgufCursor& in,
                   std::int64_t alignment,
                   std::int64_t file_bytes,
                   std::vector<GgufTensor>& tensors) {
  const std::int64_t start = pad(in, in.position(), alignment);
  std::int64_t expected = 0;
  for (GgufTensor& tensor : tensors) {
    in.set_subject(fmt::format("tensor {}", quoted_name(tensor.name)));
    if (tensor.offset != expected) {
      in.fail(fmt::format("offset: expected {}, found {}",
                          expected,
                          static_cast<std::uint64_t>(tensor.offset)));
    }
    tensor.offset = add(in, start, expected);
    const std::int64_t end = add(in, tensor.offset, tensor.bytes);
    if (end > file_bytes) {
      in.fail(
          fmt::format("truncated: the tensor ends at byte {}, the file has "
                      "{} bytes; fetch it again",
                      end,
                      file_bytes));
    }
    expected = pad(in, add(in, expected, tensor.bytes), alignment);
  }
}

}  // namespace

GgufFile::GgufFile(const std::filesystem::path& path, const GgufLimits& limits)
    : file_(path) {
  GgufCursor in(file_);
  const Counts counts = read_preamble(in, limits);
  for (std::int64_t i = 0; i < counts.pairs; ++i) {
    read_pair(in, i, limits, metadata_);
  }
  const std::int64_t alignment = read_alignment(in, metadata_, limits);
  std::unordered_set<std::string> names;
  for (std::int64_t i = 0; i < counts.tensors; ++i) {
    tensors_.push_back(read_tensor(in, i, names));
  }
  place_tensors(in, alignment, file_.size(), tensors_);
  head_bytes_ = in.position();
}

void GgufFile::read(const GgufTensor& tensor,
                    std::int64_t begin,
                    std::span<std::byte> out) const {
  const auto bytes = static_cast<std::int64_t>(out.size());
  if (begin < 0 || begin > tensor.bytes || bytes > tensor.bytes - begin) {
    throw Error(ErrorKind::Unexpected,
                fmt::format("GGUF tensor {}: bytes {} to {} of {}",
                            quoted_name(tensor.name),
                            begin,
                            begin + bytes,
                            tensor.bytes));
  }
  file_.read_at(tensor.offset + begin, out);
}

bool is_gguf(const InputFile& file) {
  std::byte head[4];
  if (file.size() < 4) return false;
  file.read_at(0, head);
  return std::memcmp(head, "GGUF", sizeof(head)) == 0;
}

}  // namespace mantissa
