#pragma once

#include <cstdint>
#include <optional>

#include <mantissa/core/dtype.h>
#include <mantissa/core/enums.h>
#include <mantissa/core/tensor_view.h>

namespace mantissa {

/// Scales and zero points, one per block.
struct QParams {
  HostTensor scale;
  HostTensor zero_point;
};

/// Shape of the results of choose_qparams_affine().
enum class KeepDims {
  No,   ///< reduced dimensions are dropped: per tensor [], group [N, G]
  Yes,  ///< extents shape / block_size, the rank of the input
};

/// Optional arguments of choose_qparams_affine(); defaults are torchao's.
struct ChooseQParamsOptions {
  /// Within the bounds of the target dtype, which are the defaults.
  std::optional<std::int64_t> quant_min = std::nullopt;
  std::optional<std::int64_t> quant_max = std::nullopt;
  /// Floor of the scale, rounded to the input's dtype; default: its smallest
  /// normal number (torchao <= 0.17 used its epsilon).
  std::optional<double> eps = std::nullopt;
  /// float32, bfloat16 or float16; default: the input's dtype.
  std::optional<DType> scale_dtype = std::nullopt;
  /// An integer or floating dtype; empty is torchao's None: int32 for
  /// Asymmetric, else the input's dtype.
  std::optional<DType> zero_point_dtype = DType::Int32;
  KeepDims keep_dims = KeepDims::No;
};

/// Scale and zero point of each block of `input` (float32, bfloat16 or float16
/// of any rank; all arithmetic in its dtype). `block_size` has the rank of the
/// input and divides its extents; extents of 1 everywhere mean one block per
/// element. `target_dtype` is int1-8, uint1-8, int16 or int32.
/// SymmetricNoClippingErr needs nonzero quant_min and quant_max. Throws
/// Error(Usage) for arguments that do not fit, Error(Input) for NaN or infinity
/// in the input and for a zero point that its dtype cannot hold.
QParams choose_qparams_affine(ConstTensorView input,
                              MappingType mapping_type,
                              const Shape& block_size,
                              DType target_dtype,
                              const ChooseQParamsOptions& options = {});

/// The same formulas on given extremes of one dtype and shape, which is the
/// shape of the results (keep_dims is not looked at).
QParams choose_qparams_affine_with_min_max(
    ConstTensorView min_val,
    ConstTensorView max_val,
    MappingType mapping_type,
    DType target_dtype,
    const ChooseQParamsOptions& options = {});

}  // namespace mantissa
