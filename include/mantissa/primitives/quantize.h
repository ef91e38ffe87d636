#pragma once

#include <cstdint>
#include <optional>

#include <mantissa/core/dtype.h>
#include <mantissa/core/tensor_view.h>

namespace mantissa {

/// Range of codes; absent bounds are those of the dtype.
struct QuantRange {
  std::optional<std::int64_t> quant_min = std::nullopt;
  std::optional<std::int64_t> quant_max = std::nullopt;
};

/// Scale and zero point as quantize_affine() and dequantize_affine() take them.
struct QParamsView {
  ConstTensorView scale;  ///< one value per block
  std::optional<ConstTensorView> zero_point = std::nullopt;  ///< absent: 0
};

/// clamp(round(input * (1 / scale)) + zero_point, quant_min, quant_max) in
/// torch's result dtypes. `input` is float32, bfloat16 or float16; the scale
/// holds one float32, bfloat16 or float16 per block, in the order of the
/// blocks, whatever its rank; the zero point as many integers or floats.
/// `output_dtype` is int1-8 (int8 comes back), uint1-8 (uint8 comes back),
/// int16 or int32 (codes that bfloat16 or float16 cannot hold saturate, where
/// torch wraps). NaN becomes 0, infinities the nearer bound. Throws
/// Error(Usage) for arguments that do not fit.
HostTensor quantize_affine(ConstTensorView input,
                           const Shape& block_size,
                           const QParamsView& qparams,
                           DType output_dtype,
                           const QuantRange& range = {});

}  // namespace mantissa
