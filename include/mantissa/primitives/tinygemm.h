#pragma once

#include <cstdint>
#include <optional>

#include <mantissa/core/dtype.h>
#include <mantissa/core/tensor_view.h>
#include <mantissa/primitives/choose_qparams.h>
#include <mantissa/primitives/quantize.h>

// The float zero-point domain of the tinygemm kernels: with mid = (quant_max +
// quant_min + 1) / 2, w = (code - mid) * scale + zero_point. Zero need not be
// on the grid.

namespace mantissa {

/// Optional arguments of choose_qparams_affine_tinygemm(), torchao's defaults.
struct TinygemmOptions {
  /// Within the bounds of the target dtype, which are the defaults.
  QuantRange range = {};
  /// Floor of the scale, rounded to the input's dtype; default: its smallest
  /// normal number (torchao <= 0.17 used its epsilon).
  std::optional<double> eps = std::nullopt;
  /// float32, bfloat16 or float16; default: the input's dtype.
  std::optional<DType> scale_dtype = std::nullopt;
  std::optional<DType> zero_point_dtype = std::nullopt;
};

/// scale = (max - min) / (quant_max - quant_min), zero_point = min + scale *
/// mid of each block, in the dtype of `input` (float32, bfloat16 or float16);
/// shapes without the dimensions that a block spans. `target_dtype` is int1-8,
/// uint1-8, int16 or int32. Throws Error(Usage) for arguments that do not fit,
/// Error(Input) for NaN or infinity in the input.
QParams choose_qparams_affine_tinygemm(ConstTensorView input,
                                       const Shape& block_size,
                                       DType target_dtype,
                                       const TinygemmOptions& options = {});

/// clamp(round((input - (zero_point - scale * mid)) / scale), quant_min,
/// quant_max), a true division, every step in torch's result dtype. `qparams`
/// holds one float value per block each, the zero point included. The codes
/// come back as quantize_affine() gives them. Throws Error(Usage) for arguments
/// that do not fit.
HostTensor quantize_affine_tinygemm(ConstTensorView input,
                                    const Shape& block_size,
                                    const QParamsView& qparams,
                                    DType output_dtype,
                                    const QuantRange& range = {});

/// (input - mid) * scale + zero_point, product and sum each rounded to
/// `output_dtype` (float32, bfloat16 or float16). `input` holds int8, uint8,
/// int16 or int32 codes of the logical dtype `input_dtype`, which with `range`
/// gives mid. Throws Error(Usage) for arguments that do not fit.
HostTensor dequantize_affine_tinygemm(ConstTensorView input,
                                      const Shape& block_size,
                                      const QParamsView& qparams,
                                      DType input_dtype,
                                      const QuantRange& range = {},
                                      DType output_dtype = DType::Float32);

}  // namespace mantissa
