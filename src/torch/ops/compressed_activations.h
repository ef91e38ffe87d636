#pragma once

#include <cstdint>
#include <span>

#include <ATen/core/Tensor.h>

#include "formats/compressed_activations.h"

namespace mantissa {

/// Scale and zero point (integers) of x in x's dtype, of shapes that go with x.
struct CompressedScale {
  at::Tensor scale;
  at::Tensor zero_point;
};

/// calculate_qparams() of compressed-tensors for rows x [M, K], or x
/// [M, K / group, group] where the last dimension shares a scale, with dynamic
/// activations per token (a row) or tensor. Any device.
CompressedScale compressed_scale(const at::Tensor& x,
                                 const CompressedActivations& how);

/// Int8 codes rne(clamp(x / scale + zero_point, -128, 127)) in x's dtype, in
/// which both parameters count; `zero_point` may be undefined.
at::Tensor compressed_codes(const at::Tensor& x,
                            const at::Tensor& scale,
                            const at::Tensor& zero_point);

/// x [M, K] (float32, bfloat16 or float16) with the values that its codes
/// stand for, as compressed-tensors fake-quantizes activations. Static ones
/// take `scale` and `zero_point` ([1] each; the second may be undefined).
/// Throws c10::ValueError where groups do not divide K.
at::Tensor fake_quantize_compressed(const at::Tensor& x,
                                    const CompressedActivations& how,
                                    const at::Tensor& scale = {},
                                    const at::Tensor& zero_point = {});

/// The activations of one weight: what fake_quantize_compressed() takes beside
/// x.
struct CompressedRounding {
  CompressedActivations how;
  at::Tensor scale = {};
  at::Tensor zero_point = {};

  /// fake_quantize_compressed(x, ...).
  at::Tensor operator()(const at::Tensor& x) const;
  /// The same for rows [ends[i - 1], ends[i]) of x [ends.back(), K] each.
  /// Static ones may have a value for each row, [M, 1].
  at::Tensor of_parts(const at::Tensor& x,
                      std::span<const std::int64_t> ends) const;
  /// Whether the other gives the same for every x; static ones are not
  /// compared.
  bool same_as(const CompressedRounding& other) const;
};

}  // namespace mantissa
