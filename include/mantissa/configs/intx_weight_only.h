#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include <mantissa/configs/field_config.h>

namespace mantissa {

/// Fields of IntxWeightOnlyConfig, in torchao's order.
struct IntxWeightOnlyFields {
  DType weight_dtype = DType::Int8;      ///< int1 to int8
  Granularity granularity = PerAxis{0};  ///< or PerGroup
  EnumField<MappingType> mapping_type = MappingType::Symmetric;
  std::optional<DType> scale_dtype = {};  ///< None is the weight's
  EnumField<IntxPackingFormat> intx_packing_format =
      IntxPackingFormat::UnpackedToInt8;  ///< the only one
  EnumField<IntxChooseQParamsAlgorithm> intx_choose_qparams_algorithm =
      IntxChooseQParamsAlgorithm::Affine;  ///< or HQQ_SCALE_ONLY
};

/// Weights of 1 to 8 bits, one code a byte: IntxUnpackedToInt8Tensor. 2-D
/// weights only.
class IntxWeightOnlyConfig final : public ConfigOf<IntxWeightOnlyFields> {
 public:
  using ConfigOf::ConfigOf;
  std::string_view type() const override { return "IntxWeightOnlyConfig"; }
  std::int64_t version() const override { return 2; }
  void validate() const override;
  WeightChoice choose(const Shape& shape, DType dtype) const override;

 private:
  void write_fields(FieldWriter& writer) const override;
  void read_fields(FieldReader& reader) override;
};

}  // namespace mantissa
