#pragma once

// Only C headers here: instruction-set files include this.
#include <stdint.h>

namespace mantissa::kernels {

/// Activations as int8 with a scale for each group of values of K, in the
/// panels of LowbitActivations (linear_lowbit_args.h; project): scale =
/// max(max|x| / 127, 2^-120), code = x * (1 / scale) rounded half to even. A
/// row with NaN or infinity gets the scale NaN in every group, codes 0.
struct QuantizePanelsArgs {
  const float* x = nullptr;  ///< [m, k]
  int64_t x_stride = 0;      ///< floats from one row to the next
  int64_t m = 0;
  int64_t k = 0;
  int32_t panel = 1;
  int64_t group = 32;       ///< 32 or 64
  int8_t* codes = nullptr;  ///< as in LowbitActivations, k rounded up to 32
  int32_t* sums = nullptr;
  float* scales = nullptr;
  int32_t* half_sums = nullptr;
};

inline constexpr float kLeastPanelScale = 0x1p-120f;

/// Panels [begin, end); rows behind m become 0.
void run_quantize_panels_ref(const QuantizePanelsArgs& args,
                             int64_t begin,
                             int64_t end);
void run_quantize_panels_avx2(const QuantizePanelsArgs& args,
                              int64_t begin,
                              int64_t end);
void run_quantize_panels_avx512(const QuantizePanelsArgs& args,
                                int64_t begin,
                                int64_t end);

}  // namespace mantissa::kernels
