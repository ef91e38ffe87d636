#pragma once

#include <algorithm>

namespace mantissa {

/// Parameters of one group of 4-bit codes: w = (code - 8) * scale + zero with
/// codes 0..15, found as code = round((x - offset) / scale).
struct Int4Group {
  float scale;
  float zero;
  float offset;
};

/// Both rules of Int4Tensor bound the range below, so that a constant group
/// does not divide by zero.
constexpr float kInt4MinRange = 1e-6f;

/// Int4Tensor for bfloat16 activations, float32 arithmetic: the zero point is a
/// float and sits at code 8.
inline Int4Group int4_asymmetric_group(float min, float max) {
  const float scale = std::max(max - min, kInt4MinRange) / 15.0f;
  return {scale, min + scale * 8.0f, min};
}

/// Int4Tensor for float8 activations, float32 arithmetic: no zero point, the
/// codes -8..7 are counted from zero.
inline Int4Group int4_symmetric_group(float min, float max) {
  const float scale = std::max(std::max(-min, max), kInt4MinRange) / 8.0f;
  return {scale, 0.0f, 0.0f};
}

/// Bounds of a tinygemm code: 0..15 for uint4.
struct TinygemmRange {
  float levels = 15.0f;  ///< quant_max - quant_min
  float mid = 8.0f;      ///< (quant_max + quant_min + 1) / 2
};

/// tinygemm's scale, zero point and offset; `round` rounds a float to the dtype
/// of the arithmetic, `eps` is the smallest scale.
template <class Round>
Int4Group tinygemm_group(
    float min, float max, float eps, TinygemmRange range, const Round& round) {
  const float scale = std::max(round(round(max - min) / range.levels), eps);
  const float zero = round(min + round(scale * range.mid));
  return {scale, zero, round(zero - round(scale * range.mid))};
}

}  // namespace mantissa
