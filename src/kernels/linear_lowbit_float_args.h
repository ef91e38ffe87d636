#pragma once

// Only C headers here: instruction-set files include this.
#include <stdint.h>

#include "kernels/linear_lowbit_args.h"

namespace mantissa::kernels {

/// Rows a panel of many rows.
inline constexpr int32_t kFloatPanel = 6;

/// Values of K that lie together for all panels, so that a product with them
/// reads one stream.
inline constexpr int64_t kFloatBlock = 128;

/// Activations [m, k] in float32, in panels of rows; what lies behind m and
/// behind the weight's own K is 0.
struct LowbitFloats {
  int64_t m = 0;
  int64_t k = 0;      ///< a multiple of kLowbitChunk
  int32_t panel = 1;  ///< rows a panel: m up to 4, else kFloatPanel
  /// [k / kFloatBlock, the last of them shorter][panels][kFloatBlock][panel].
  const float* values = nullptr;
};

/// Where value k of the first row of a panel stands.
static inline int64_t float_place(const LowbitFloats& x,
                                  int64_t panel,
                                  int64_t k) {
  const int64_t block = k / kFloatBlock * kFloatBlock;
  const int64_t rest = x.k - block;
  const int64_t length = rest < kFloatBlock ? rest : kFloatBlock;
  const int64_t panels = (x.m + x.panel - 1) / x.panel;
  return (block * panels + panel * length + k - block) * x.panel;
}

/// y[i, j] = sum over k of x * w + bias with w = (code - zero) * scale rounded
/// to float32, then to the dtype that the format decodes to; with offsets,
/// which go with scales of 16 bits or a w of float32, w = code * scale + offset
/// rounded once to that dtype; with two levels of scales always float32. Two
/// sums, of k % 8 < 4 and of the rest, as the
/// units of a 4-bit code's byte: acc = fma(x, w, acc) from 0 in ascending
/// order; then first + second, then + bias. So every kernel gives the same bits
/// (zeros of either sign are one), whatever the other rows.
struct LinearLowbitFloatArgs {
  LowbitWeightView w;                     ///< `sums` are not read
  LowbitScale values = LowbitScale::F32;  ///< the dtype of w
  LowbitFloats x;
  const float* bias = nullptr;  ///< [n], or null
  float* y = nullptr;           ///< [m, n]
  int64_t y_stride = 0;         ///< floats from one row to the next
};

/// Tiles as in linear_lowbit.
void run_linear_lowbit_float_ref(const LinearLowbitFloatArgs& args,
                                 const LinearLowbitTiles& tiles);
void run_linear_lowbit_float_avx2(const LinearLowbitFloatArgs& args,
                                  const LinearLowbitTiles& tiles);
void run_linear_lowbit_float_avx512(const LinearLowbitFloatArgs& args,
                                    const LinearLowbitTiles& tiles);

}  // namespace mantissa::kernels
