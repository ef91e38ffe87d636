#pragma once

#include <cstdint>
#include <optional>

#include <mantissa/core/tensor_view.h>
#include <mantissa/primitives/float_casts.h>

// torchao's float8 primitives. A scale is computed in the input's dtype, then
// everything is done in float32; all divisions are true divisions.

namespace mantissa {

/// Arguments of choose_scale_float8 beside the tensor and its blocks.
struct Float8ScaleOptions {
  DType float8_dtype = DType::Float8E4M3FN;
  /// Float32, or Float8E8M0FNU for the nearest power of two, which may be below
  /// the exact scale so that large values saturate.
  DType scale_dtype = DType::Float32;
  std::optional<double> hp_value_lb = {};  ///< least magnitude, see below
  std::optional<double> hp_value_ub = {};  ///< greatest magnitude
};

/// Calls `body` with the MiniFloat of a float8 dtype other than e8m0 as its
/// template argument; false if `dtype` is none.
template <class Body>
bool dispatch_float8(DType dtype, const Body& body) {
  switch (dtype) {
    case DType::Float8E4M3FN:
      body.template operator()<Float8E4M3FN>();
      return true;
    case DType::Float8E5M2:
      body.template operator()<Float8E5M2>();
      return true;
    case DType::Float8E4M3FNUZ:
      body.template operator()<Float8E4M3FNUZ>();
      return true;
    case DType::Float8E5M2FNUZ:
      body.template operator()<Float8E5M2FNUZ>();
      return true;
    default:
      return false;
  }
}

/// The scale of a block whose largest magnitude is `amax`, an exact value of
/// `dtype` (float32, bfloat16 or float16): clamp(amax, lb, ub) / max(float8),
/// each step rounded to `dtype`. A scale of 0 becomes the smallest normal
/// float32; torchao leaves 0 there, and NaN codes.
float float8_scale(float amax, DType dtype, const Float8ScaleOptions& options);

/// The code of clamp(x / scale, -max, max), round half to even; NaN stays NaN.
template <class Format>
std::uint8_t quantize_float8_element(float x, float scale) {
  constexpr std::uint8_t kMaxCode = Format::kMaxCode;
  const float max = Format::decode(kMaxCode);
  float value = x / scale;
  if (value < -max) value = -max;
  if (value > max) value = max;
  return Format::encode(value);
}

/// Scales (float32, shape / block_size) of the blocks of `x` (float32, bfloat16
/// or float16); see float8_scale(). `block_size` has the rank of `x` and
/// divides it, or the call throws Error(Usage).
HostTensor choose_scale_float8(ConstTensorView x,
                               const Shape& block_size,
                               const Float8ScaleOptions& options);

/// Codes of `x`; `scale` (float32) has one element, or the rank of `x` and
/// extents that divide it. Throws Error(Usage) otherwise.
HostTensor quantize_affine_float8(ConstTensorView x,
                                  ConstTensorView scale,
                                  DType float8_dtype);

/// q * scale in float32, rounded to `output_dtype`; `scale` as above.
HostTensor dequantize_affine_float8(ConstTensorView q,
                                    ConstTensorView scale,
                                    DType output_dtype);

}  // namespace mantissa
