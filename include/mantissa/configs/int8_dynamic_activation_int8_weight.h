#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include <mantissa/configs/field_config.h>

namespace mantissa {

/// Fields of Int8DynamicActivationInt8WeightConfig, in torchao's order.
struct Int8DynamicActivationInt8WeightFields {
  std::optional<EnumField<MappingType>> act_mapping_type =
      MappingType::Symmetric;       ///< or ASYMMETRIC
  bool weight_only_decode = false;  ///< unused, kept for JSON
  /// One, or [activation, weight]: PerTensor or PerRow.
  Granularities granularity = Granularity(PerRow{});
  bool set_inductor_config = true;           ///< kept for JSON
  std::optional<bool> reduce_range = false;  ///< 7-bit codes
};

/// Int8 weights and activations quantized to int8 at run time: Int8Tensor with
/// activation arguments.
class Int8DynamicActivationInt8WeightConfig final
    : public ConfigOf<Int8DynamicActivationInt8WeightFields> {
 public:
  using ConfigOf::ConfigOf;
  std::string_view type() const override {
    return "Int8DynamicActivationInt8WeightConfig";
  }
  std::int64_t version() const override { return 2; }
  void validate() const override;
  WeightChoice choose(const Shape& shape, DType dtype) const override;

 private:
  void write_fields(FieldWriter& writer) const override;
  void read_fields(FieldReader& reader) override;
};

}  // namespace mantissa
