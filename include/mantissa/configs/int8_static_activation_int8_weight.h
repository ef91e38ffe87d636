#pragma once

#include <optional>
#include <string_view>

#include <mantissa/configs/field_config.h>

namespace mantissa {

/// Fields of Int8StaticActivationInt8WeightConfig, in torchao's order.
struct Int8StaticActivationInt8WeightFields {
  TensorField act_quant_scale = {};       ///< scale of the activations
  TensorField act_quant_zero_point = {};  ///< for ASYMMETRIC activations
  Granularities granularity =
      Granularity(PerRow{});  ///< one, or [activation, weight]
  std::optional<EnumField<MappingType>> act_mapping_type =
      MappingType::Symmetric;       ///< or ASYMMETRIC
  bool set_inductor_config = true;  ///< kept for JSON
  std::optional<bool> reduce_range =
      false;  ///< 7-bit codes, for CPUs without VNNI
};

/// Int8 weights and int8 activations of a fixed scale, which calibration finds.
/// Not available in this version.
class Int8StaticActivationInt8WeightConfig final
    : public LaterConfigOf<Int8StaticActivationInt8WeightFields> {
 public:
  using LaterConfigOf::LaterConfigOf;
  std::string_view type() const override {
    return "Int8StaticActivationInt8WeightConfig";
  }

 private:
  void write_fields(FieldWriter& writer) const override;
  void read_fields(FieldReader& reader) override;
};

}  // namespace mantissa
