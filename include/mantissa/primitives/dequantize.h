#pragma once

#include <mantissa/core/dtype.h>
#include <mantissa/core/tensor_view.h>
#include <mantissa/primitives/quantize.h>

namespace mantissa {

/// (input - zero_point) * scale: the difference in `output_dtype` (float32,
/// bfloat16 or float16), the product in torch's result dtype of it and the
/// scale's. `input` holds int8, uint8, int16 or int32 codes; `qparams` as in
/// quantize_affine(). Throws Error(Usage) for arguments that do not fit.
HostTensor dequantize_affine(ConstTensorView input,
                             const Shape& block_size,
                             const QParamsView& qparams,
                             DType output_dtype = DType::Float32);

}  // namespace mantissa
