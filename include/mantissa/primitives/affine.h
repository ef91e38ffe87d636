#pragma once

#include <cmath>
#include <cstdint>

#include <mantissa/core/dtype.h>
#include <mantissa/core/enums.h>
#include <mantissa/primitives/float_casts.h>
#include <mantissa/primitives/rounding.h>

// The affine formulas, one scalar function each. Values travel as float; after
// every operation they are rounded to the dtype in which torch would have done
// it (float32, bfloat16 or float16), so the results are torch's to the bit.

namespace mantissa {

/// `value` rounded (half to even) to a float32, bfloat16 or float16.
inline float round_to(DType dtype, float value) {
  if (dtype == DType::BFloat16) {
    return bfloat16_to_float(float_to_bfloat16(value));
  }
  if (dtype == DType::Float16) return float16_to_float(float_to_float16(value));
  return value;
}

/// The smallest normal number of float32, bfloat16 or float16: torchao's
/// default floor of a scale.
inline float smallest_normal(DType dtype) {
  return dtype == DType::Float16 ? 0x1p-14f : 0x1p-126f;
}

/// torch's result dtype of an operation on two of float32, bfloat16, float16.
inline DType promote(DType a, DType b) { return a == b ? a : DType::Float32; }

/// Scale and zero point of one block, both values of the input's dtype.
struct AffineQParams {
  float scale;
  float zero_point;
};

/// Scale and zero point for values in [min, max], which is widened to hold 0.
/// All arithmetic is done in `dtype`. `range` is [qmin, qmax], qmin < qmax;
/// SymmetricNoClippingErr needs both to be nonzero.
inline AffineQParams affine_qparams(float min,
                                    float max,
                                    MappingType mapping,
                                    IntegerRange range,
                                    float eps,
                                    DType dtype) {
  const float low = min < 0.0f ? min : 0.0f;
  const float high = max > 0.0f ? max : 0.0f;
  const auto steps = static_cast<double>(range.max - range.min);
  const float floor = round_to(dtype, eps);
  const auto at_least = [&](float scale) {
    return scale < floor ? floor : scale;
  };
  if (mapping == MappingType::Asymmetric) {
    const float span = round_to(dtype, high - low);
    const float scale =
        at_least(round_to(dtype, span / static_cast<float>(steps)));
    const float steps_below = round_half_even(round_to(dtype, low / scale));
    const auto qmin = static_cast<float>(range.min);
    const auto qmax = static_cast<float>(range.max);
    const float zero = round_to(dtype, qmin - steps_below);
    return {scale, zero < qmin ? qmin : (zero > qmax ? qmax : zero)};
  }
  const auto middle = (range.max + range.min + 1) / 2;
  const float zero = round_to(dtype, static_cast<float>(middle));
  if (mapping == MappingType::Symmetric) {
    const auto half = steps / 2;
    const float amax = -low > high ? -low : high;
    return {at_least(round_to(dtype, amax / static_cast<float>(half))), zero};
  }
  const float below = round_to(dtype, low / static_cast<float>(range.min));
  const float above = round_to(dtype, high / static_cast<float>(range.max));
  return {at_least(below > above ? below : above), zero};
}

/// What quantize_affine_element() multiplies by: 1 / scale in scale's dtype.
inline float affine_reciprocal(float scale, DType scale_dtype) {
  return round_to(scale_dtype, 1.0f / scale);
}

/// clamp(round(x * reciprocal) + zero_point, qmin, qmax), the product rounded
/// to `product` = promote(dtype of x, dtype of scale), the sum to `sum`. A NaN
/// product (0 * infinity) gives code 0, as torch's cast does.
inline std::int32_t quantize_affine_element(float x,
                                            float reciprocal,
                                            float zero_point,
                                            IntegerRange range,
                                            DType product,
                                            DType sum) {
  const float steps = round_half_even(round_to(product, x * reciprocal));
  const float code = round_to(sum, steps + zero_point);
  if (std::isnan(code)) return 0;
  if (code <= static_cast<float>(range.min)) {
    return static_cast<std::int32_t>(range.min);
  }
  if (code >= static_cast<float>(range.max)) {
    return static_cast<std::int32_t>(range.max);
  }
  return static_cast<std::int32_t>(code);
}

/// (q - zero_point) * scale: the difference in `out`, the product in `product`
/// = promote(out, dtype of scale), the result in `out`.
inline float dequantize_affine_element(
    float q, float zero_point, float scale, DType product, DType out) {
  const float steps =
      round_to(out, round_to(out, q) - round_to(out, zero_point));
  return round_to(out, round_to(product, steps * scale));
}

}  // namespace mantissa
