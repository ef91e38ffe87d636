#pragma once

#include <optional>
#include <string_view>

#include <mantissa/configs/field_config.h>

namespace mantissa {

/// Fields of Int8StaticActivationInt8WeightConfig, in torchao's order.
struct Int8StaticActivationInt8WeightFields {
  /// Float scale of the activations, one value or one for each row, [.., 1]:
  /// what a calibration found. It is stored with every weight that the config
  /// takes; FqnToConfig gives each module its own.
  TensorField act_quant_scale = {};
  /// Like the scale, for ASYMMETRIC activations; None: 0.
  TensorField act_quant_zero_point = {};
  /// One, or [activation, weight]: PerTensor or PerRow.
  Granularities granularity = Granularity(PerRow{});
  std::optional<EnumField<MappingType>> act_mapping_type =
      MappingType::Symmetric;       ///< or ASYMMETRIC
  bool set_inductor_config = true;  ///< kept for JSON
  std::optional<bool> reduce_range =
      false;  ///< 7-bit codes, for CPUs without VNNI
};

/// Int8 weights and int8 activations of a fixed scale: Int8Tensor with
/// activation arguments and the scale. Programs only: JSON holds no tensor, and
/// without a scale validate() and choose() throw Error(Usage).
class Int8StaticActivationInt8WeightConfig final
    : public ConfigOf<Int8StaticActivationInt8WeightFields> {
 public:
  using ConfigOf::ConfigOf;
  std::string_view type() const override {
    return "Int8StaticActivationInt8WeightConfig";
  }
  void validate() const override;
  WeightChoice choose(const Shape& shape, DType dtype) const override;

 private:
  void write_fields(FieldWriter& writer) const override;
  void read_fields(FieldReader& reader) override;
};

}  // namespace mantissa
