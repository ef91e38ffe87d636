#pragma once

#include <cstdint>
#include <span>

#include <mantissa/core/dtype.h>
#include <mantissa/core/tensor_view.h>

namespace mantissa {

/// Codes and scales of choose_qparams_and_quantize_scale_only_hqq().
struct ScaleOnlyHqq {
  HostTensor qdata;  ///< int32, the shape of the input
  HostTensor scale;  ///< [N, K / group], dtype of the input
};

/// Stop rule and range of the scale-only solver; defaults are torchao's.
struct ScaleOnlyHqqOptions {
  int iterations = 20;
  float early_stop_tolerance = 1e-5f;
};

/// Half-quadratic quantization with a scale and no zero point, in float32:
/// starts from absmax / max(|qmin|, |qmax|), then fits the scale to the codes
/// by least squares until no scale of the tensor moves by more than the
/// tolerance. `input` is [N, K] float32, bfloat16 or float16, `block_size`
/// [1, group]. Sums run in float32 in torch's order. Throws Error(Usage) for
/// arguments that do not fit, Error(Input) for NaN or infinity.
ScaleOnlyHqq choose_qparams_and_quantize_scale_only_hqq(
    ConstTensorView input,
    const Shape& block_size,
    IntegerRange range,
    const ScaleOnlyHqqOptions& options = {});

/// First scale of a group whose largest magnitude is `amax`.
float hqq_initial_scale(float amax, IntegerRange range);

/// Code of `x` under `scale`: clamp(round(x / scale)); NaN becomes 0.
float hqq_code(float x, float scale, IntegerRange range);

/// The next scale of one group.
float hqq_next_scale(std::span<const float> group,
                     float scale,
                     IntegerRange range);

/// |next - scale| / max(scale, 2^-23): what the stop rule looks at.
float hqq_relative_change(float scale, float next);

}  // namespace mantissa
