#pragma once

// Only C headers here: instruction-set files include this.
#include <stdint.h>

#include "kernels/common/element.h"

namespace mantissa::kernels {

/// How a value becomes a code.
enum class AffineRounding {
  /// clamp(round_half_even(x * (1 / scale)) + zero_point, qmin, qmax): torchao.
  Reciprocal,
  /// round_half_even(clamp(x / scale + zero_point, qmin, qmax)), the sum
  /// rounded to float32 as well: compressed-tensors.
  Quotient,
};

/// The largest zero point of either sign.
inline constexpr int32_t kMostAffineZeroPoint = 256;

/// Codes lie in [-128, 255], zero points in [-256, 256].
struct QuantizeAffineProblem {
  Element x = Element::Bf16;
  /// Of x * (1 / scale): F32, or the same as x. Quotient has F32.
  Element product = Element::F32;
  AffineRounding rounding = AffineRounding::Reciprocal;
};

/// `groups` runs of `group` contiguous values; any alignment.
struct QuantizeAffineArgs {
  const void* x = nullptr;  ///< [groups, group]
  int64_t groups = 0;
  int64_t group = 0;
  const float* factor = nullptr;  ///< [groups], 1 / scale; Quotient: scale
  const int32_t* zero_point = nullptr;  ///< [groups], or null for zeros
  int32_t qmin = 0;
  int32_t qmax = 0;
  uint8_t* q = nullptr;  ///< [groups, group], low byte of each code
};

/// A value that is no number gives 0.
void run_quantize_affine_ref(const QuantizeAffineProblem& problem,
                             const QuantizeAffineArgs& args);
void run_quantize_affine_avx2(const QuantizeAffineProblem& problem,
                              const QuantizeAffineArgs& args);
void run_quantize_affine_avx512(const QuantizeAffineProblem& problem,
                                const QuantizeAffineArgs& args);

}  // namespace mantissa::kernels
