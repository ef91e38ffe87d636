#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

#include <mantissa/core/tensor_view.h>
#include <mantissa/formats/packed_weights_type.h>

#include "kernels/pack_bits_args.h"

namespace mantissa {

/// The header of a packed object: 16 little-endian int32, magic and type first.
///
///   | 6712 | type | params[0] ... params[13] |        unused params are 0
struct PackedHeader {
  PackedWeightsType type;
  std::array<std::int32_t, 14> params = {};
};

inline constexpr std::int64_t kPackedHeaderBytes = 64;

void write_packed_header(const PackedHeader& header, std::span<std::byte> to);

/// The header of `packed`. Throws Error(Input) as packed_weights_type() does,
/// and when a parameter from `used` on is not 0.
PackedHeader read_packed_header(std::span<const std::byte> packed,
                                std::size_t used);

/// Throws Error(Input): a header of type `type` has `what` = `got`, where
/// `expected` is allowed.
[[noreturn]] void throw_packed_header(PackedWeightsType type,
                                      std::string_view what,
                                      std::int64_t got,
                                      std::string_view expected);

/// A header parameter that is 0 or 1.
bool packed_flag(PackedWeightsType type, std::string_view what, std::int32_t v);

/// Throws Error(Input) unless `packed` is `expected` bytes long.
void check_packed_size(PackedWeightsType type,
                       std::span<const std::byte> packed,
                       std::int64_t expected);

/// The product of `factors`, none negative. Throws Error(Usage) when it does
/// not fit in 64 bits; `what` says what it is.
std::int64_t checked_product(std::string_view what,
                             std::initializer_list<std::int64_t> factors);

/// Throws Error(Usage) unless the view has this dtype and shape and, where it
/// has elements, data.
void check_packed_field(std::string_view op,
                        std::string_view field,
                        const ConstTensorView& view,
                        DType dtype,
                        const Shape& shape);

/// Throws Error(Usage) that a field is missing, or must not be there.
void check_packed_presence(std::string_view op,
                           std::string_view field,
                           bool expected,
                           bool there);

/// The least index that several tasks found out of range.
class FirstBadCode {
 public:
  /// Takes `index` of the whole tensor.
  void found(std::int64_t index);
  /// Throws Error(Input) that names the code in codes [.., columns], if any.
  void check(std::string_view op,
             std::string_view field,
             const std::int8_t* codes,
             std::int64_t columns,
             int bits,
             kernels::CodeRange range) const;

 private:
  static constexpr std::int64_t kNone = INT64_MAX;
  std::atomic<std::int64_t> first_{kNone};
};

/// Tasks of about a megabyte: how many of `total` units of `unit_bytes` each.
std::int64_t units_per_task(std::int64_t unit_bytes);

/// Streaming for results that no cache holds.
kernels::Stores stores_for(std::int64_t bytes);

}  // namespace mantissa
