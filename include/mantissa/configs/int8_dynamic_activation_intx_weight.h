#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include <mantissa/configs/field_config.h>

namespace mantissa {

/// Fields of Int8DynamicActivationIntxWeightConfig, in torchao's order.
struct Int8DynamicActivationIntxWeightFields {
  DType weight_dtype = DType::Int8;               ///< int1 to int8
  Granularity weight_granularity = PerGroup{32};  ///< or PerAxis(0)
  EnumField<MappingType> weight_mapping_type = MappingType::Symmetric;
  std::optional<DType> weight_scale_dtype = {};  ///< None is the weight's
  EnumField<MappingType> act_mapping_type =
      MappingType::Asymmetric;  ///< the only one
  EnumField<IntxPackingFormat> intx_packing_format =
      IntxPackingFormat::UnpackedToInt8;  ///< the only one here
  EnumField<IntxChooseQParamsAlgorithm> intx_choose_qparams_algorithm =
      IntxChooseQParamsAlgorithm::Affine;  ///< or HQQ_SCALE_ONLY
};

/// Weights of 1 to 8 bits, one code a byte, and activations quantized to int8
/// per token at run time: IntxUnpackedToInt8Tensor. 2-D weights only.
class Int8DynamicActivationIntxWeightConfig final
    : public ConfigOf<Int8DynamicActivationIntxWeightFields> {
 public:
  using ConfigOf::ConfigOf;
  std::string_view type() const override {
    return "Int8DynamicActivationIntxWeightConfig";
  }
  std::int64_t version() const override { return 2; }
  void validate() const override;
  WeightChoice choose(const Shape& shape, DType dtype) const override;

 private:
  void write_fields(FieldWriter& writer) const override;
  void read_fields(FieldReader& reader) override;
};

}  // namespace mantissa
