#pragma once

#include <algorithm>

#include <mantissa/core/dtype.h>
#include <mantissa/primitives/affine.h>
#include <mantissa/primitives/rounding.h>

// The formulas of compressed-tensors, for weights and activations alike.

namespace mantissa {

/// The least and the largest code: -128 and 127, or -448 and 448 for float8.
struct CompressedRange {
  float min = -128.0f;
  float max = 127.0f;
};

/// torch.finfo(dtype).eps, which takes the place of a scale of 0.
inline float compressed_epsilon(DType dtype) {
  if (dtype == DType::BFloat16) return 0x1p-7f;
  return dtype == DType::Float16 ? 0x1p-10f : 0x1p-23f;
}

/// A scale, which may be 0, and a zero point, which is an integer.
struct CompressedQParams {
  float scale = 0.0f;
  float zero_point = 0.0f;
};

/// calculate_qparams() of compressed-tensors for values in [min, max], which is
/// widened to hold 0; arithmetic is done in `dtype`. `scalar`: there is one min
/// and one max, without a dimension, whose difference from the least code
/// PyTorch keeps in float32.
inline CompressedQParams compressed_qparams(float min,
                                            float max,
                                            bool symmetric,
                                            CompressedRange range,
                                            DType dtype,
                                            bool scalar = false) {
  const float low = std::min(min, 0.0f);
  const float high = std::max(max, 0.0f);
  const float steps = range.max - range.min;
  if (symmetric) {
    return {round_to(dtype, std::max(-low, high) / (steps / 2)), 0.0f};
  }
  const float span = round_to(dtype, high - low);
  const float scale = round_to(dtype, span / steps);
  // A scale of 0 (of zeros, or of the smallest halves) has no zero point; with
  // the epsilon that takes its place, any decodes to 0.
  const DType sum = scalar ? DType::Float32 : dtype;
  const float zero =
      scale == 0 ? 0.0f
                 : round_to(sum, range.min - round_to(dtype, low / scale));
  return {scale, round_half_even(std::clamp(zero, range.min, range.max))};
}

}  // namespace mantissa
