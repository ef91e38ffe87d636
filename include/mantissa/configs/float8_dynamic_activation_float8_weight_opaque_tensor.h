#pragma once

#include <string_view>

#include <mantissa/configs/field_config.h>

namespace mantissa {

/// Fields of Float8DynamicActivationFloat8WeightOpaqueTensorConfig, in
/// torchao's order.
struct Float8DynamicActivationFloat8WeightOpaqueTensorFields {
  DType activation_dtype = DType::Float8E4M3FN;  ///< only e4m3fn
  DType weight_dtype = DType::Float8E4M3FN;      ///< only e4m3fn
  Granularities granularity = {};  ///< None is PerTensor; also PerRow, PerGroup
  bool set_inductor_config = true;  ///< kept for JSON
};

/// Float8 weights in a CPU's packed form with dynamic float8 activations.
/// Not available in this version.
class Float8DynamicActivationFloat8WeightOpaqueTensorConfig final
    : public LaterConfigOf<
          Float8DynamicActivationFloat8WeightOpaqueTensorFields> {
 public:
  using LaterConfigOf::LaterConfigOf;
  std::string_view type() const override {
    return "Float8DynamicActivationFloat8WeightOpaqueTensorConfig";
  }

 private:
  void write_fields(FieldWriter& writer) const override;
  void read_fields(FieldReader& reader) override;
};

}  // namespace mantissa
