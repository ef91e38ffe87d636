#pragma once

#include <memory>
#include <optional>
#include <string>

#include <mantissa/core/dtype.h>
#include <mantissa/core/enums.h>
#include <mantissa/core/granularity.h>
#include <mantissa/formats/encoding.h>

namespace mantissa {

/// An IntxUnpackedToInt8Tensor: the arguments of torchao's from_hp.
struct IntxSpec {
  DType target_dtype = DType::Int8;  ///< int1 to int8
  /// PerGroup, or PerAxis(0): one scale for each row of K columns. Of a Conv2d:
  /// groups of channels, or all of them, for each [n, h, w].
  Granularity granularity = PerAxis{0};
  MappingType mapping_type = MappingType::Symmetric;
  /// float32, bfloat16 or float16; default: the weight's dtype.
  std::optional<DType> scale_dtype = {};
  IntxChooseQParamsAlgorithm algorithm = IntxChooseQParamsAlgorithm::Affine;
  /// Absent, or "int8_asym_per_token".
  std::optional<std::string> activation_quantization = {};
};

/// IntxUnpackedToInt8Tensor for a weight [N, K], [E, N, K] or [N, C, H, W] (of
/// a Conv2d; Affine only) of float32, bfloat16 or float16: fields `qdata`
/// (int8, the weight's shape, values of target_dtype), `scale` (scale_dtype)
/// and `zero_point` (int8), both shape / block size. Scale and zero point are
/// found in the weight's dtype; codes use the stored scale. HqqScaleOnly
/// ignores mapping_type and reads the weight up to 21 times. The encoder throws
/// Error(Input), naming the element, for NaN or infinity in the weight. A slice
/// may cut a block only if it stays within that block. Throws Error(Usage) when
/// the granularity does not fit the shape or an argument is not allowed.
std::shared_ptr<const Encoding> make_intx_encoding(const Shape& shape,
                                                   DType dtype,
                                                   const IntxSpec& spec);

}  // namespace mantissa
