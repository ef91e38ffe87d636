#pragma once

#include <ATen/core/Tensor.h>

namespace torch {
class Library;
}

namespace mantissa {

/// x [.., K] (float32, bfloat16 or float16) rounded to the 256 values of an
/// asymmetric int8 grid that each row finds for itself, all arithmetic in x's
/// dtype: the activations of torchao's "int8_asym_per_token". A row with NaN or
/// infinity becomes NaN.
at::Tensor fake_quantize_rows_int8(const at::Tensor& x);

/// The same by ATen operators, on any device.
at::Tensor fake_quantize_rows_int8_by_aten(const at::Tensor& x);

/// mantissa::fake_quantize_rows_int8 for torch's dispatcher.
void define_fake_quantize_rows(torch::Library& library);

}  // namespace mantissa
