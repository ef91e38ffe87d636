#pragma once

// Only C headers here: instruction-set files include this.
#include <stdint.h>

#include "kernels/linear_lowbit_args.h"

namespace mantissa::kernels {

/// Rows of a panel that stands in tiles as AMX reads them.
inline constexpr int32_t kLowbitBf16Tile = 16;

/// Activations [m, k] in bfloat16, in panels of rows; what lies behind m and
/// behind the weight's own K is 0. The four values of a unit stand in the order
/// 0, 2, 1, 3, as a 16-bit shift of a unit's codes yields them.
struct LowbitBf16s {
  int64_t m = 0;
  int64_t k = 0;      ///< a multiple of kLowbitChunk
  int32_t panel = 1;  ///< rows a panel: 1, 2, 4, 8 or kLowbitBf16Tile
  /// [panels][k / 4][panel][4]; of kLowbitBf16Tile rows [panels][k /
  /// 32][16][32].
  const uint16_t* values = nullptr;
  const float* sums = nullptr;  ///< [panels][k / 32][panel] of the values
};

/// Where the unit of value k of row i stands.
static inline int64_t bf16_unit_place(const LowbitBf16s& x,
                                      int64_t i,
                                      int64_t k) {
  const int64_t panel = i / x.panel;
  const int64_t row = i % x.panel;
  if (x.panel != kLowbitBf16Tile) {
    return ((panel * (x.k / 4) + k / 4) * x.panel + row) * 4;
  }
  const int64_t tile = panel * (x.k / kLowbitChunk) + k / kLowbitChunk;
  return (tile * x.panel + row) * kLowbitChunk + k % kLowbitChunk / 4 * 4;
}

/// y[i, j] = sum over the groups g of scale_g * (sum over k of x * c) [+
/// offset_g * (sum over k of x)] + bias with c = code - zero, or the float8
/// value: bfloat16 holds c, so that only the sums, in float32, are rounded. A
/// kernel may sum in any order, may add an integer to all codes of a group and
/// take it times the sum of x away again, and may take subnormal numbers for 0;
/// a row does not depend on the others. A row with NaN or infinity has no
/// finite y.
struct LinearLowbitBf16Args {
  LowbitWeightView w;  ///< `sums` are not read
  LowbitBf16s x;
  const float* bias = nullptr;  ///< [n], or null
  float* y = nullptr;           ///< [m, n]
  uint16_t* narrow = nullptr;   ///< y rounded to bfloat16, in its place
  int64_t y_stride = 0;         ///< elements from one row to the next
};

/// Tiles as in linear_lowbit. x in panels of up to 8 rows for `avx512bf16`, of
/// kLowbitBf16Tile for `amx`.
void run_linear_lowbit_bf16_ref(const LinearLowbitBf16Args& args,
                                const LinearLowbitTiles& tiles);
void run_linear_lowbit_bf16_avx512bf16(const LinearLowbitBf16Args& args,
                                       const LinearLowbitTiles& tiles);
void run_linear_lowbit_bf16_amx(const LinearLowbitBf16Args& args,
                                const LinearLowbitTiles& tiles);

}  // namespace mantissa::kernels
