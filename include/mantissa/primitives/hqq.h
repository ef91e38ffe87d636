#pragma once

#include <cstdint>

#include <mantissa/core/dtype.h>
#include <mantissa/core/tensor_view.h>

namespace mantissa {

/// Which of HQQ's two forms the parameters take.
enum class HqqForm {
  /// w = (code - 2^(nbits-1)) * scale + zero_point, torchao's raw_output=False.
  Tinygemm,
  /// w = (code - zero_point) * scale, torchao's raw_output=True.
  Raw,
};

/// Arguments of choose_qparams_and_quantize_affine_hqq(), torchao's names.
struct HqqArgs {
  int nbits = 4;                 ///< 1 to 8
  std::int64_t group_size = 64;  ///< divides the number of elements
  int iterations = 20;           ///< 0 is torchao's optimize=False
  int axis = 1;                  ///< 1: groups along memory; 0: across it
  DType compute_dtype = DType::Float16;  ///< of the parameters returned
  HqqForm form = HqqForm::Tinygemm;
};

struct HqqResult {
  HostTensor codes;       ///< uint8, the input's shape
  HostTensor scale;       ///< compute_dtype
  HostTensor zero_point;  ///< compute_dtype
};

/// torchao's _choose_qparams_and_quantize_affine_hqq: half-quadratic
/// quantization of a float32, bfloat16 or float16 tensor, groups of the
/// flattened tensor. The solver runs in float32 (torchao: float16 on CUDA) and
/// stops when the mean error over the whole tensor stops falling, the errors
/// summed in float64 in a fixed order. Parameters have shape [groups, 1] (axis
/// 1) or [1, groups] (axis 0) in the Tinygemm form, [shape[0], -1] or [-1,
/// shape[-1]] in the Raw form. A group whose zero point compute_dtype cannot
/// hold is so narrow that it counts as constant: all codes are 0 and stand for
/// its minimum. Throws Error(Usage) naming the argument that does not fit.
HqqResult choose_qparams_and_quantize_affine_hqq(ConstTensorView input,
                                                 const HqqArgs& args);

}  // namespace mantissa
