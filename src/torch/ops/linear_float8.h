#pragma once

#include <ATen/core/Tensor.h>

#include <mantissa/formats/float8_tensor.h>

namespace mantissa {

/// x [M, K] as float8 by the kwargs' granularity (PerTensor, PerRow, or
/// PerBlock([1, 128])) and bounds: codes [M, K] and float32 scales [M, 1],
/// [1, 1] or [M, K / 128]. A row of zeros has the smallest normal scale, where
/// torchao makes NaN.
struct Float8Rows {
  at::Tensor codes;
  at::Tensor scale;
};
Float8Rows quantize_float8_rows(const at::Tensor& x,
                                const QuantizeTensorToFloat8Kwargs& kwargs);

/// x [M, K], quantized so, times the transposed codes qdata [N, K] with
/// `scale` [1, 1], [N, 1] or [N / 128, K / 128], plus bias [N]: [M, N] in x's
/// dtype. One scale for the tensor: at::_scaled_mm. Scales for rows on a CPU,
/// where that operator has no form, and blocks: float32 sums (each block scaled
/// before it is added), rounded once.
at::Tensor linear_float8(const at::Tensor& x,
                         const at::Tensor& qdata,
                         const at::Tensor& scale,
                         const at::Tensor& bias,
                         const QuantizeTensorToFloat8Kwargs& kwargs,
                         const Float8MMConfig& mm_config);

}  // namespace mantissa
