#pragma once

// Only C headers here: instruction-set files include this.
#include <stdint.h>

#include "kernels/common/element.h"

namespace mantissa::kernels {

/// y[i, j] = sum over k of x[i, k] * w[j, k], exact, then in torchao's order:
/// * x_scale[i], rounded to `out`; - (x_zero_point[i] * x_scale[i]) * (sum over
/// k of w[j, k]), the product and the difference rounded to `out`; * w_scale[j]
/// and + bias[j] in float32; rounded to `out`.
struct LinearInt8Args {
  const int8_t* x = nullptr;  ///< [m, k] codes
  const int8_t* w = nullptr;  ///< [n, k] codes
  int64_t m = 0;
  int64_t n = 0;
  int64_t k = 0;
  const float* x_scale = nullptr;       ///< [m]
  const float* x_zero_point = nullptr;  ///< [m], or null: symmetric
  const float* w_scale = nullptr;       ///< [n], or one for all
  /// [n]: the sum of each row of w; null: summed where it is needed.
  const float* w_sums = nullptr;
  int64_t w_scale_stride = 1;  ///< 0: one for all
  const void* bias = nullptr;  ///< [n], or null
  Element bias_type = Element::F32;
  void* y = nullptr;  ///< [m, n] of `out`
};

/// Rows [m_begin, m_end) and columns [n_begin, n_end) of y.
struct LinearInt8Tile {
  int64_t m_begin = 0;
  int64_t m_end = 0;
  int64_t n_begin = 0;
  int64_t n_end = 0;
};

/// Columns of K up to which a sum fits an int32: 2^16 * 2^14 = 2^30.
inline constexpr int64_t kInt8SumColumns = int64_t{1} << 16;

/// Exact sums of products of int8 codes for k <= kInt8SumColumns:
/// sums[i * columns + j] of x[i, :] and w[j, :], rows k apart.
typedef void (*Int8Sums)(const int8_t* x,
                         const int8_t* w,
                         int64_t k,
                         int64_t rows,
                         int64_t columns,
                         int32_t* sums);

/// The tile from sums that `sum` makes: what is around them is the same for
/// all.
void run_linear_int8_with(Int8Sums sum,
                          Element out,
                          const LinearInt8Args& args,
                          const LinearInt8Tile& tile);

/// The tile from sums, each rounded to float32, of which sums[i * stride + j]
/// are those of row i and column j of y; needs neither x nor, with w_sums, w.
void finish_linear_int8(Element out,
                        const LinearInt8Args& args,
                        const LinearInt8Tile& tile,
                        const float* sums,
                        int64_t stride);

void run_linear_i8dyn_i8c_avx2(Element out,
                               const LinearInt8Args& args,
                               const LinearInt8Tile& tile);
void run_linear_i8dyn_i8c_avx512vnni(Element out,
                                     const LinearInt8Args& args,
                                     const LinearInt8Tile& tile);
void run_linear_i8dyn_i8c_amx(Element out,
                              const LinearInt8Args& args,
                              const LinearInt8Tile& tile);
void run_linear_i8dyn_i8c_ref(Element out,
                              const LinearInt8Args& args,
                              const LinearInt8Tile& tile);

}  // namespace mantissa::kernels
