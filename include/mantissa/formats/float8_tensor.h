#pragma once

#include <memory>
#include <optional>

#include <mantissa/core/dtype.h>
#include <mantissa/core/enums.h>
#include <mantissa/core/granularity.h>
#include <mantissa/formats/encoding.h>

namespace mantissa {

/// How a float8 matrix product is done; torchao's fields and defaults.
struct Float8MMConfig {
  bool emulate = false;
  bool use_fast_accum = false;
  bool pad_inner_dim = false;
  bool operator==(const Float8MMConfig&) const = default;
};

/// How an activation becomes float8 at run time; torchao's fields, defaults.
struct QuantizeTensorToFloat8Kwargs {
  DType float8_dtype = DType::Float8E4M3FN;
  Granularity granularity = PerRow{};
  std::optional<Float8MMConfig> mm_config = {};
  std::optional<double> hp_value_lb = {};
  std::optional<double> hp_value_ub = {};
  KernelPreference kernel_preference = KernelPreference::Auto;
  bool operator==(const QuantizeTensorToFloat8Kwargs&) const = default;
};

/// A Float8Tensor: the arguments of torchao's Float8Tensor.from_hp.
struct Float8Spec {
  DType float8_dtype = DType::Float8E4M3FN;
  /// PerTensor, PerRow, PerGroup, PerBlock, PerAxis or PerToken.
  Granularity granularity = PerRow{};
  std::optional<Float8MMConfig> mm_config = {};
  /// Absent for a weight-only tensor.
  std::optional<QuantizeTensorToFloat8Kwargs> act_quant_kwargs = {};
  KernelPreference kernel_preference = KernelPreference::Auto;
  /// Bounds of a block's largest magnitude before it becomes the scale.
  std::optional<double> hp_value_lb = {};
  std::optional<double> hp_value_ub = {};
};

/// Float8Tensor for a weight [N, K] or [E, N, K] of float32, bfloat16 or
/// float16: fields `qdata` (float8, the weight's shape) and `scale` (float32,
/// shape / block size). A block whose scale would be 0 gets the smallest normal
/// float32. The encoder throws Error(Input), naming the element, for NaN or
/// infinity in the weight. Throws Error(Usage) when the granularity does not
/// fit the shape or a dtype is not allowed.
std::shared_ptr<const Encoding> make_float8_encoding(Shape shape,
                                                     DType dtype,
                                                     const Float8Spec& spec);

}  // namespace mantissa
