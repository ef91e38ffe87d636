#pragma once

// Only C headers here: instruction-set files include this.
#include <stdint.h>

namespace mantissa::kernels {

/// Columns (output features) of a tile, and values of K in a chunk: the units
/// of the runtime layout (lowbit_layout.h).
inline constexpr int64_t kLowbitTile = 16;
inline constexpr int64_t kLowbitChunk = 32;
/// Values of K with a scale of their own at least, with two levels of scales.
inline constexpr int64_t kLowbitHalf = 16;
/// Values of K whose integer sum is exact in 32 bits.
inline constexpr int64_t kLowbitExact = 32768;

enum class LowbitScale : uint8_t { Bf16, F16, F32 };

/// What the codes are: integers, or float8 values of 8 bits.
enum class LowbitCode : uint8_t { Integer, E4m3, E5m2 };

/// A weight [n, k] of codes u in [0, 2^bits): (u - 2^(bits-1) - zero) * scale,
/// or (u - 2^(bits-1)) * scale + offset; or of float8 values, times scale. k is
/// a multiple of kLowbitChunk; what lies behind the weight's own K is
/// multiplied with activations of 0. With two levels, a group's scale is that
/// of its super-block times its factor, and its offset that of the super-block
/// times its offset factor: float32 holds both products exactly.
struct LowbitWeightView {
  int32_t bits = 4;
  int64_t n = 0;
  int64_t k = 0;
  int64_t group = 0;  ///< values of K a scale: k, or 32, 64, 128, 256 ..
  const uint8_t* codes = nullptr;  ///< [tiles][chunks][bits * 64]
  LowbitScale scale_type = LowbitScale::Bf16;
  const void* scales = nullptr;   ///< [tiles][groups][16]
  const int8_t* zeros = nullptr;  ///< [tiles][groups][16]; null: 0
  /// [tiles * 16]: sum of a column's values; for activations with a zero point.
  const float* sums = nullptr;
  LowbitCode code = LowbitCode::Integer;  ///< int8 activations: this alone
  /// As the scales; null: 0. Without `zeros` and for integers alone.
  const void* offsets = nullptr;
  /// Codes count from 0, u in place of u - 2^(bits-1). As `offsets`.
  bool from_zero = false;
  /// Two levels: values of K with one of `scales` and `offsets`, which have 16
  /// bits then and are [tiles][k / super][16]. Groups are kLowbitHalf then, or
  /// of kLowbitChunk or more with offsets. 0: one level.
  int64_t super = 0;
  const int8_t* factors = nullptr;  ///< [tiles][groups][16]; null: one level
  const int8_t* offset_factors = nullptr;  ///< the same, beside `offsets`
};

/// What is subtracted from a code, beside its zero point.
static inline int32_t lowbit_middle(const LowbitWeightView& w) {
  return w.from_zero ? 0 : 1 << (w.bits - 1);
}

/// Where the codes of a tile begin.
static inline const uint8_t* lowbit_codes_of(const LowbitWeightView& w,
                                             int64_t tile) {
  return w.codes + tile * (w.k / kLowbitChunk) * w.bits * 64;
}

/// Activations [m, k] as int8 codes, in panels of rows; rows behind m are 0.
struct LowbitActivations {
  int64_t m = 0;
  int64_t k = 0;      ///< a multiple of kLowbitChunk
  int32_t panel = 1;  ///< rows a panel: 1, 2, 4 or 8
  int64_t group = 0;  ///< values of K a scale (32, 64); 0: a scale each row
  const int8_t* codes = nullptr;  ///< [panels][k / 4][panel][4]
  const int32_t* sums = nullptr;  ///< [panels][k / 32][panel] of the codes
  const float* scales = nullptr;  ///< [panels][groups or 1][panel]
  const float* zeros = nullptr;   ///< [panels][panel], or null: symmetric
  /// [panels][k / 16][panel] of the codes; for weights in groups of 16.
  const int32_t* half_sums = nullptr;
};

/// y[i, j] = sum over k of scale_x * (x - zero_x) * w + bias.
/// In segments of K with one scale of each kind: the integer sum is exact, then
/// acc = fma(float(sum), scale [* scale_x of a group], acc) in ascending order,
/// each followed, with offsets, by acc = fma(float(sum of the codes of x) [*
/// scale_x of a group], offset, acc); with a scale each row at last
/// fma(-zero_x, sums, acc) and * scale_x, the bias in the same fma. So every
/// kernel gives the same bits.
struct LinearLowbitArgs {
  LowbitWeightView w;
  LowbitActivations x;
  const float* bias = nullptr;  ///< [n], or null
  float* y = nullptr;           ///< [m, n]
  int64_t y_stride = 0;         ///< floats from one row to the next
};

/// Tiles [begin, end) of columns for all rows. `workspace`: as many bytes of
/// this thread alone as the row's workspace_bytes() says for one thread,
/// 64-byte aligned; not read where that is 0. `next`: codes that this thread
/// multiplies after these, from which a row may fetch ahead; null: not known.
struct LinearLowbitTiles {
  int64_t begin = 0;
  int64_t end = 0;
  void* workspace = nullptr;
  const uint8_t* next = nullptr;
};

void run_linear_lowbit_ref(const LinearLowbitArgs& args,
                           const LinearLowbitTiles& tiles);
void run_linear_lowbit_avx2(const LinearLowbitArgs& args,
                            const LinearLowbitTiles& tiles);
void run_linear_lowbit_avx512vnni(const LinearLowbitArgs& args,
                                  const LinearLowbitTiles& tiles);
/// Of weights in groups of kLowbitHalf, of 2, 3 or 6 bits: what the two above
/// call for them.
void run_linear_lowbit_halves_avx2(const LinearLowbitArgs& args,
                                   const LinearLowbitTiles& tiles);
void run_linear_lowbit_halves_avx512vnni(const LinearLowbitArgs& args,
                                         const LinearLowbitTiles& tiles);
void run_linear_lowbit_amx(const LinearLowbitArgs& args,
                           const LinearLowbitTiles& tiles);

}  // namespace mantissa::kernels
