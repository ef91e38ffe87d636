#pragma once

#include <ATen/core/Tensor.h>

#include <mantissa/core/enums.h>

#include "torch/ops/quantize_rows.h"

namespace torch {
class Library;
}

namespace mantissa {

/// How x becomes int8 in linear_int8().
struct Int8Activation {
  bool per_tensor = false;  ///< one scale; else one for each row
  MappingType mapping = MappingType::Symmetric;  ///< or Asymmetric
  bool reduce_range = false;                     ///< codes in [-64, 63]
  /// Static quantization: float32, one value or one for each row. Undefined:
  /// found in the call.
  at::Tensor scale = {};
  /// Whole numbers, as many as `scale`s may be, in [-256, 256] (not checked on
  /// a GPU); undefined: 0.
  at::Tensor zero_point = {};
  RowFormula formula = RowFormula::Torchao;
};

/// x [.., K] (float32, bfloat16 or float16), quantized as torchao's
/// Int8Tensor.from_hp does, or by the formula of compressed-tensors (full range
/// only; a given scale is one of x's dtype), times the transposed codes qdata
/// int8 [N, K], whose `scale` (float32) has one value or one for each row, plus
/// bias [N], which may be undefined: [.., N] of `out_dtype`. Integer sums are
/// exact for every M, N and K; the rest is rounded as torchao rounds it
/// (kernels/linear_int8). Without columns (K = 0) the result is the bias or 0,
/// as at::linear's. A row with NaN or infinity gives NaN where its scale is
/// found in the call; with a given scale infinity has the largest code, and NaN
/// the code 0 as in torchao, but by the formula of compressed-tensors it spoils
/// its row. Throws c10::ValueError, c10::TypeError naming the
/// argument.
at::Tensor linear_int8(const at::Tensor& x,
                       const at::Tensor& qdata,
                       const at::Tensor& scale,
                       const at::Tensor& bias,
                       const Int8Activation& activation,
                       c10::ScalarType out_dtype);

/// The same by ATen operators, on any device: what runs on a GPU.
at::Tensor linear_int8_by_aten(const at::Tensor& x,
                               const at::Tensor& qdata,
                               const at::Tensor& scale,
                               const at::Tensor& bias,
                               const Int8Activation& activation,
                               c10::ScalarType out_dtype);

/// mantissa::linear_int8 for torch's dispatcher.
void define_linear_int8(torch::Library& library);

}  // namespace mantissa
