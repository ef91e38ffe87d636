#pragma once

#include <optional>
#include <string_view>

#include <mantissa/configs/field_config.h>
#include <mantissa/formats/float8_tensor.h>

namespace mantissa {

/// Fields of Float8StaticActivationFloat8WeightConfig, in torchao's order.
struct Float8StaticActivationFloat8WeightFields {
  std::optional<EnumField<QuantizationStep>>
      step;                                      ///< PREPARE, CONVERT or None
  TensorField act_quant_scale = {};              ///< scale of the activations
  DType activation_dtype = DType::Float8E4M3FN;  ///< a float8 dtype
  DType weight_dtype = DType::Float8E4M3FN;      ///< a float8 dtype
  std::optional<Granularity> granularity = {};   ///< None is PerTensor
  std::optional<Float8MMConfig> mm_config = {};  ///< None is fast accumulation
  EnumField<KernelPreference> kernel_preference =
      KernelPreference::Auto;                   ///< who multiplies
  bool set_inductor_config = true;              ///< kept for JSON
  bool quantize_and_dequantize_output = false;  ///< also round the output
  TensorField output_act_quant_scale = {};      ///< scale of the output
};

/// Float8 weights and float8 activations of a fixed scale, which calibration
/// finds. Not available in this version.
class Float8StaticActivationFloat8WeightConfig final
    : public LaterConfigOf<Float8StaticActivationFloat8WeightFields> {
 public:
  using LaterConfigOf::LaterConfigOf;
  std::string_view type() const override {
    return "Float8StaticActivationFloat8WeightConfig";
  }

 private:
  void write_fields(FieldWriter& writer) const override;
  void read_fields(FieldReader& reader) override;
};

}  // namespace mantissa
