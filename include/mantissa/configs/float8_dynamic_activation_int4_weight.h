#pragma once

#include <string_view>

#include <mantissa/configs/field_config.h>

namespace mantissa {

/// Fields of Float8DynamicActivationInt4WeightConfig, in torchao's order.
struct Float8DynamicActivationInt4WeightFields {
  /// PRESHUFFLED (torchao's default, a raw string in files) or PLAIN.
  EnumField<Int4PackingFormat> int4_packing_format{
      Int4PackingFormat::Preshuffled, EnumForm::Raw};
};

/// Int4 weights in groups of 128 and activations quantized to float8 at run
/// time: Int4Tensor. Only PLAIN is available in this version.
class Float8DynamicActivationInt4WeightConfig final
    : public ConfigOf<Float8DynamicActivationInt4WeightFields> {
 public:
  using ConfigOf::ConfigOf;
  std::string_view type() const override {
    return "Float8DynamicActivationInt4WeightConfig";
  }
  void validate() const override;
  WeightChoice choose(const Shape& shape, DType dtype) const override;

 private:
  void write_fields(FieldWriter& writer) const override;
  void read_fields(FieldReader& reader) override;
};

}  // namespace mantissa
