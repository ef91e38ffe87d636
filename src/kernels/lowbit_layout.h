#pragma once

#include <cstdint>

#include "kernels/linear_lowbit_args.h"

namespace mantissa::kernels {

/// The runtime layout of low-bit weights on x86 (project, after the plane
/// layouts of kernels_and_qat A13): tiles of 16 columns (output features), each
/// one contiguous stream of chunks of 32 values of K, a chunk `bits` x 64
/// bytes. A chunk has 8 units of 4 values of K: byte 4 * column + j of a unit
/// is value 4 * unit + j. The bits of the codes stand in planes, one behind the
/// other, for each bit of `bits`, the widest first: 8 bits: 8 x 64 bytes, the
/// units; 4 bits: 4 x 64, byte r has unit 2r in its low half and 2r + 1 in its
/// high half; 2 bits: 2 x 64, byte r has units 4r .. 4r + 3 from the low end;
/// 1 bit: 64, units 0 .. 7 from the low end. The 4-bit plane holds the lowest
/// bits of a code, then the 2-bit plane, then the 1-bit plane.
struct LowbitLayout {
  int bits = 4;
  std::int64_t n = 0;
  std::int64_t k = 0;      ///< of the weight
  std::int64_t group = 0;  ///< values of K a scale; k: one a row
  bool from_zero = false;  ///< LowbitWeightView::from_zero
  /// Two levels of scales: values of K a scale of the first; 0: one level.
  std::int64_t super = 0;

  std::int64_t tiles() const { return (n + kLowbitTile - 1) / kLowbitTile; }
  std::int64_t chunks() const { return (k + kLowbitChunk - 1) / kLowbitChunk; }
  std::int64_t stored_k() const { return chunks() * kLowbitChunk; }
  std::int64_t groups() const { return group == k ? 1 : k / group; }
  /// Values of K a scale as the kernels count them.
  std::int64_t stored_group() const { return group == k ? stored_k() : group; }
  std::int64_t code_bytes() const { return tiles() * chunks() * bits * 64; }
  /// Values of [tiles][groups][16].
  std::int64_t metadata_values() const {
    return tiles() * groups() * kLowbitTile;
  }
  /// The layout of what stands beside super-blocks; itself with one level.
  LowbitLayout supers() const {
    LowbitLayout out = *this;
    if (super != 0) out.group = super;
    return out;
  }
};

/// Null, or the rule that a layout breaks: bits 1 .. 8, group k, or a power of
/// two of at least 32 that divides k. With two levels: group 16, or a power of
/// two above with codes from 0, super a power of two from group on that divides
/// k, a multiple of 32.
const char* lowbit_layout_error(const LowbitLayout& layout);

/// Codes [n, k] (signed, code + 2^(bits-1) in [0, 2^bits)) of tiles
/// [begin, end) into `out` [code_bytes()]. Bits behind row n are 0. Codes
/// behind k, where a row has one zero point (`zeros` [n, groups()], null: 0),
/// are it, or the nearest there is: a scale makes no infinity of what counts as
/// 0.
void pack_lowbit(const LowbitLayout& layout,
                 const std::int8_t* codes,
                 const std::int8_t* zeros,
                 std::int64_t begin,
                 std::int64_t end,
                 std::uint8_t* out);

/// The way back, for all tiles.
void unpack_lowbit(const LowbitLayout& layout,
                   const std::uint8_t* packed,
                   std::int8_t* codes);

/// Metadata [n, groups] of `bytes` bytes each into [tiles][groups][16] for
/// tiles [begin, end), 0 behind n; and the way back for all.
void pack_lowbit_metadata(const LowbitLayout& layout,
                          const void* values,
                          std::int64_t bytes,
                          std::int64_t begin,
                          std::int64_t end,
                          void* out);
void unpack_lowbit_metadata(const LowbitLayout& layout,
                            const void* packed,
                            std::int64_t bytes,
                            void* values);

/// LowbitWeightView::sums of tiles [begin, end): fma over the groups in
/// ascending order of float(sum of (code - zero)) * scale, behind each that of
/// float(group) * offset. With codes from 0, code + 2^(bits-1) in place of
/// code.
void lowbit_sums(const LowbitLayout& layout,
                 const std::int8_t* codes,
                 const LowbitWeightView& packed,
                 std::int64_t begin,
                 std::int64_t end,
                 float* sums);

/// Where the codes of a weight and LowbitWeightView::sums go.
struct LowbitOut {
  std::uint8_t* codes = nullptr;
  float* sums = nullptr;
};

/// pack_lowbit() and lowbit_sums() in one pass over the codes; `packed` has the
/// metadata of the tiles.
void pack_lowbit_with_sums(const LowbitLayout& layout,
                           const std::int8_t* codes,
                           const LowbitWeightView& packed,
                           std::int64_t begin,
                           std::int64_t end,
                           const LowbitOut& out);

/// Scale i of packed metadata as float32.
float lowbit_scale(LowbitScale type, const void* scales, std::int64_t i);

/// Scale and offset of the group and column whose metadata of [tiles][groups]
/// [16] stand at `at`, of one level or two; an offset that is not there is 0.
float lowbit_scale_at(const LowbitWeightView& w, std::int64_t at);
float lowbit_offset_at(const LowbitWeightView& w, std::int64_t at);

}  // namespace mantissa::kernels
