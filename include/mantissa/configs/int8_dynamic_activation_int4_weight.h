#pragma once

#include <cstdint>
#include <string_view>

#include <mantissa/configs/field_config.h>

namespace mantissa {

/// Fields of Int8DynamicActivationInt4WeightConfig, in torchao's order.
struct Int8DynamicActivationInt4WeightFields {
  std::int64_t group_size = 32;  ///< 32, 64 or 128
  EnumField<MappingType> act_mapping_type =
      MappingType::Asymmetric;      ///< or SYMMETRIC
  bool set_inductor_config = true;  ///< kept for JSON
};

/// Int4 weights in a CPU's packed form with dynamic int8 activations. A file
/// whose fields include `layout` or `mapping_type` means a removed class of
/// this name. Not available in this version.
class Int8DynamicActivationInt4WeightConfig final
    : public LaterConfigOf<Int8DynamicActivationInt4WeightFields> {
 public:
  using LaterConfigOf::LaterConfigOf;
  std::string_view type() const override {
    return "Int8DynamicActivationInt4WeightConfig";
  }

 private:
  void write_fields(FieldWriter& writer) const override;
  void read_fields(FieldReader& reader) override;
};

}  // namespace mantissa
