#include "formats/packed_header.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include <mantissa/core/error.h>

namespace mantissa {
namespace {

constexpr std::int32_t kMagic = 6712;
constexpr std::int64_t kTaskBytes = std::int64_t{1} << 20;
// A quarter of the last-level cache of a small server: below it, whoever reads
// next may find the result there.
constexpr std::int64_t kStreamFrom = std::int64_t{8} << 20;

[[noreturn]] void throw_input(const std::string& what) {
  throw Error(ErrorKind::Input, what);
}

}  // namespace

std::string_view name(PackedWeightsType type) {
  switch (type) {
    case PackedWeightsType::LinearUniversal:
      return "linear (universal)";
    case PackedWeightsType::Embedding:
      return "embedding";
    case PackedWeightsType::LinearKleidiAI:
      return "linear (KleidiAI)";
    case PackedWeightsType::LinearInt8Lut:
      return "linear (int8 tables)";
    case PackedWeightsType::LinearGroupwiseLut:
      break;
  }
  return "linear (float tables)";
}

void write_packed_header(const PackedHeader& header, std::span<std::byte> to) {
  std::int32_t words[16] = {kMagic, static_cast<std::int32_t>(header.type)};
  std::ranges::copy(header.params, words + 2);
  std::memcpy(to.data(), words, sizeof(words));
}

PackedWeightsType packed_weights_type(std::span<const std::byte> packed) {
  if (packed.size() < static_cast<std::size_t>(kPackedHeaderBytes)) {
    throw_input(fmt::format(
        "packed weights: expected a header of 64 bytes, got {} bytes",
        packed.size()));
  }
  std::int32_t words[2];
  std::memcpy(words, packed.data(), sizeof(words));
  if (words[0] != kMagic) {
    throw_input(fmt::format(
        "packed weights: magic: expected {}, got {}; these are not torchao's "
        "packed weights",
        kMagic,
        words[0]));
  }
  if (words[1] < 1 || words[1] > 5) {
    throw_input(
        fmt::format("packed weights: type: expected 1 to 5, got {}", words[1]));
  }
  return static_cast<PackedWeightsType>(words[1]);
}

PackedHeader read_packed_header(std::span<const std::byte> packed,
                                std::size_t used) {
  PackedHeader header{packed_weights_type(packed)};
  std::memcpy(header.params.data(), packed.data() + 8, sizeof(header.params));
  for (std::size_t i = used; i < header.params.size(); ++i) {
    if (header.params[i] == 0) continue;
    throw_packed_header(header.type,
                        fmt::format("unused parameter {}", i),
                        header.params[i],
                        "0");
  }
  return header;
}

void throw_packed_header(PackedWeightsType type,
                         std::string_view what,
                         std::int64_t got,
                         std::string_view expected) {
  throw_input(fmt::format("packed weights, {}: header: {}: expected {}, got {}",
                          name(type),
                          what,
                          expected,
                          got));
}

bool packed_flag(PackedWeightsType type,
                 std::string_view what,
                 std::int32_t v) {
  if (v != 0 && v != 1) throw_packed_header(type, what, v, "0 or 1");
  return v == 1;
}

void check_packed_size(PackedWeightsType type,
                       std::span<const std::byte> packed,
                       std::int64_t expected) {
  if (static_cast<std::int64_t>(packed.size()) == expected) return;
  throw_input(fmt::format(
      "packed weights, {}: expected {} bytes for these sizes, got {}",
      name(type),
      expected,
      packed.size()));
}

std::int64_t checked_product(std::string_view what,
                             std::initializer_list<std::int64_t> factors) {
  std::int64_t product = 1;
  for (const std::int64_t factor : factors) {
    if (__builtin_mul_overflow(product, factor, &product)) {
      throw Error(ErrorKind::Usage,
                  fmt::format("{}: the size does not fit in 64 bits", what));
    }
  }
  return product;
}

void check_packed_field(std::string_view op,
                        std::string_view field,
                        const ConstTensorView& view,
                        DType dtype,
                        const Shape& shape) {
  if (view.dtype == dtype && view.shape == shape &&
      (view.data != nullptr || view.numel() == 0)) {
    return;
  }
  throw Error(ErrorKind::Usage,
              fmt::format("{}: {}: expected {} {}, got {} {}{}",
                          op,
                          field,
                          name(dtype),
                          to_string(shape),
                          name(view.dtype),
                          to_string(view.shape),
                          view.data == nullptr ? " without data" : ""));
}

void check_packed_presence(std::string_view op,
                           std::string_view field,
                           bool expected,
                           bool there) {
  if (expected == there) return;
  throw Error(ErrorKind::Usage,
              fmt::format("{}: {}: {}",
                          op,
                          field,
                          there ? "the packed weight has none"
                                : "missing, but the packed weight has it"));
}

void FirstBadCode::found(std::int64_t index) {
  std::int64_t seen = first_.load();
  while (index < seen && !first_.compare_exchange_weak(seen, index)) {
  }
}

void FirstBadCode::check(std::string_view op,
                         std::string_view field,
                         const std::int8_t* codes,
                         std::int64_t columns,
                         int bits,
                         kernels::CodeRange range) const {
  const std::int64_t index = first_.load();
  if (index == kNone) return;
  const bool is_signed = range == kernels::CodeRange::Signed;
  const int low = is_signed ? -(1 << (bits - 1)) : 0;
  throw_input(
      fmt::format("{}: {}: {} at [{}, {}] (index {}) is out of range: "
                  "{} bits hold {} to {}",
                  op,
                  field,
                  int{codes[index]},
                  index / columns,
                  index % columns,
                  index,
                  bits,
                  low,
                  low + (1 << bits) - 1));
}

std::int64_t units_per_task(std::int64_t unit_bytes) {
  return std::max<std::int64_t>(
      1, kTaskBytes / std::max<std::int64_t>(1, unit_bytes));
}

kernels::Stores stores_for(std::int64_t bytes) {
  return bytes >= kStreamFrom ? kernels::Stores::Streaming
                              : kernels::Stores::Cached;
}

}  // namespace mantissa
