#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include <mantissa/core/tensor_view.h>

namespace mantissa {

/// A weight [n, k] as torchao's universal linear kernels read it (types 1 and
/// 4): strips of 8 rows, groups of columns with their scales. The header of the
/// packed object holds bits, has_zero_point and has_bias only; whoever reads it
/// must know the rest.
struct PackedLinear {
  std::int64_t n = 0;           ///< rows, output features; at least 1
  std::int64_t k = 0;           ///< columns, input features
  std::int64_t group_size = 0;  ///< a multiple of 16 that divides k
  int bits = 4;                 ///< 1 to 8; 1 to 4 with tables
  bool has_zero_point = false;  ///< not with tables
  bool has_bias = false;
  /// Lookup tables (type 4), each for n / luts consecutive rows: a multiple of
  /// 8, or all. 0: the codes are the values (type 1).
  std::int64_t luts = 0;
};

/// What is packed. Missing optional fields are those that PackedLinear says are
/// missing.
struct PackedLinearInput {
  /// int8 [n, k]: -2^(bits-1) .. 2^(bits-1)-1; with tables indices 0 ..
  /// 2^bits-1.
  ConstTensorView codes;
  ConstTensorView scale;  ///< float32 [n, k / group_size]
  std::optional<ConstTensorView> zero_point = {};  ///< int8, as scale
  std::optional<ConstTensorView> bias = {};        ///< float32 [n]
  std::optional<ConstTensorView> lut = {};         ///< int8 [luts, 2^bits]
};

/// Where unpacked fields go; dtypes and shapes as in PackedLinearInput.
struct PackedLinearOutput {
  TensorView codes;
  TensorView scale;
  std::optional<TensorView> zero_point = {};
  std::optional<TensorView> bias = {};
  std::optional<TensorView> lut = {};
};

/// Bytes of the packed object, header included. Throws Error(Usage) when the
/// sizes do not fit the layout or do not fit in 64 bits.
std::int64_t packed_bytes(const PackedLinear& linear);

/// Packs into `packed`, packed_bytes() long, byte for byte as torchao does
/// (`_pack_8bit_act_{b}bit_weight`, `.._with_lut`), with any number of workers.
/// Throws Error(Usage) when a shape or dtype is not what `linear` says, and
/// Error(Input) that names the first code out of range.
void pack_linear(const PackedLinear& linear,
                 const PackedLinearInput& input,
                 std::span<std::byte> packed,
                 int workers = 1);

/// What the header says about a packed weight [n, k]. Throws Error(Usage) when
/// the sizes do not fit the layout, and Error(Input) that names the rule when
/// the header is not that of types 1 or 4 or the object has another length.
PackedLinear read_packed_linear(std::span<const std::byte> packed,
                                std::int64_t n,
                                std::int64_t k,
                                std::int64_t group_size,
                                std::int64_t luts = 0);

/// The inverse of pack_linear(), bit for bit; `linear` is what
/// read_packed_linear() gave. Throws Error(Usage) when an output is not what
/// `linear` says, and Error(Input) that names the rule when a sum is not that
/// of its codes, a zero point does not fit in int8, padding is not 0 or strips
/// of one table differ in it.
void unpack_linear(const PackedLinear& linear,
                   std::span<const std::byte> packed,
                   const PackedLinearOutput& output,
                   int workers = 1);

}  // namespace mantissa
