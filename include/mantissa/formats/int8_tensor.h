#pragma once

#include <memory>
#include <optional>

#include <mantissa/core/dtype.h>
#include <mantissa/core/enums.h>
#include <mantissa/core/granularity.h>
#include <mantissa/core/tensor_view.h>
#include <mantissa/formats/encoding.h>

namespace mantissa {

/// How an activation becomes int8 at run time; torchao's fields and defaults.
struct QuantizeTensorToInt8Kwargs {
  Granularity granularity = PerRow{};
  MappingType mapping_type = MappingType::Symmetric;
  bool reduce_range = false;  ///< codes in [-64, 63]
  bool operator==(const QuantizeTensorToInt8Kwargs&) const = default;
};

/// An Int8Tensor: the arguments of torchao's Int8Tensor.from_hp.
struct Int8Spec {
  /// PerTensor, PerRow, PerGroup, PerBlock, PerAxis or PerToken.
  Granularity granularity = PerRow{};
  MappingType mapping_type = MappingType::Symmetric;
  bool reduce_range = false;  ///< codes in [-64, 63]
  /// Absent for a weight-only tensor.
  std::optional<QuantizeTensorToInt8Kwargs> act_quant_kwargs = {};
  /// Fixed scale (one value, or one for each row: [.., 1]) and zero point (like
  /// the scale) of a static activation, and what activations are multiplied by
  /// first; stored as they are.
  std::optional<HostTensor> act_quant_scale = {};
  std::optional<HostTensor> act_quant_zero_point = {};
  std::optional<HostTensor> act_pre_scale = {};
};

/// Int8Tensor for a weight of one or more dimensions, [N, K] or [E, N, K], of
/// float32, bfloat16 or float16: fields `qdata` (int8, the weight's shape),
/// `scale` (float32) and `zero_point` (int8), both shape / block size, then the
/// activation fields that the spec holds. The scale is found in the weight's
/// dtype and floored at 2^-23. The encoder throws Error(Input), naming the
/// element, for NaN or infinity in the weight. A slice may cut a block only if
/// it stays within that block. Throws Error(Usage) when the granularity does
/// not fit the shape or a dtype is not allowed, Error(Input) naming the
/// activation field whose dtype or shape is not.
std::shared_ptr<const Encoding> make_int8_encoding(const Shape& shape,
                                                   DType dtype,
                                                   const Int8Spec& spec);

}  // namespace mantissa
