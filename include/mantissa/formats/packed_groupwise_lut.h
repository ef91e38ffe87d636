#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include <mantissa/core/tensor_view.h>

namespace mantissa {

/// A weight [n, k] of indices into tables of floats, as torchao's CPU kernels
/// read it (type 5): strips of 4 rows, w = scale * lut[index].
struct PackedGroupwiseLut {
  std::int64_t n = 0;                 ///< rows, output features; at least 1
  std::int64_t k = 0;                 ///< columns, a multiple of 32
  std::int64_t scale_group_size = 0;  ///< a multiple of 32 that divides k
  /// Consecutive weights of a table: a multiple of 4 * k, whole strips.
  std::int64_t lut_group_size = 0;
  int bits = 4;  ///< 1 to 4
  bool has_scale = false;
  bool has_bias = false;
};

/// What is packed; there are ceil(n * k / lut_group_size) tables.
struct PackedGroupwiseLutInput {
  ConstTensorView indices;                    ///< uint8 [n, k], 0 .. 2^bits-1
  ConstTensorView lut;                        ///< float32 [tables, 2^bits]
  std::optional<ConstTensorView> scale = {};  ///< float32 [n, k / scale_group]
  std::optional<ConstTensorView> bias = {};   ///< float32 [n]
};

/// Where unpacked fields go; dtypes and shapes as in the input.
struct PackedGroupwiseLutOutput {
  TensorView indices;
  TensorView lut;
  std::optional<TensorView> scale = {};
  std::optional<TensorView> bias = {};
};

/// Tables that a weight has. Throws Error(Usage) when the sizes do not fit the
/// layout.
std::int64_t lut_count(const PackedGroupwiseLut& weight);

/// Bytes of the packed object, header included. Throws Error(Usage) when the
/// sizes do not fit the layout or do not fit in 64 bits.
std::int64_t packed_bytes(const PackedGroupwiseLut& weight);

/// Packs into `packed`, packed_bytes() long, byte for byte as torchao's
/// `_pack_groupwise_{b}bit_weight_with_lut`. Throws Error(Usage) when a shape
/// or dtype is not what `weight` says, and Error(Input) that names the first
/// index out of range.
void pack_groupwise_lut(const PackedGroupwiseLut& weight,
                        const PackedGroupwiseLutInput& input,
                        std::span<std::byte> packed,
                        int workers = 1);

/// What the header says about a packed weight [n, k]. Throws Error(Usage) when
/// the sizes do not fit the layout, and Error(Input) that names the rule when
/// the header is not that of type 5 or the object has another length.
PackedGroupwiseLut read_packed_groupwise_lut(std::span<const std::byte> packed,
                                             std::int64_t n,
                                             std::int64_t k);

/// The inverse of pack_groupwise_lut(), bit for bit. Throws Error(Usage) when
/// an output is not what `weight` says, and Error(Input) that names the rule
/// when padding is not 0 or strips of one table differ in it.
void unpack_groupwise_lut(const PackedGroupwiseLut& weight,
                          std::span<const std::byte> packed,
                          const PackedGroupwiseLutOutput& output,
                          int workers = 1);

}  // namespace mantissa
