#pragma once

#include <optional>
#include <string_view>

#include <mantissa/configs/field_config.h>

namespace mantissa {

/// Fields of NVFP4DynamicActivationNVFP4WeightConfig, in torchao's order.
struct NVFP4DynamicActivationNVFP4WeightFields {
  bool use_triton_kernel = true;             ///< fused activation scaling
  bool use_dynamic_per_tensor_scale = true;  ///< false once `step` is set
  std::optional<EnumField<QuantizationStep>>
      step;  ///< PREPARE, CONVERT or None
};

/// NVFP4 weights and activations: float4 with a float8 scale for 16.
/// Not available in this version.
class NVFP4DynamicActivationNVFP4WeightConfig final
    : public LaterConfigOf<NVFP4DynamicActivationNVFP4WeightFields> {
 public:
  using LaterConfigOf::LaterConfigOf;
  std::string_view type() const override {
    return "NVFP4DynamicActivationNVFP4WeightConfig";
  }

 private:
  void normalize();
  void write_fields(FieldWriter& writer) const override;
  void read_fields(FieldReader& reader) override;
};

/// Fields of NVFP4WeightOnlyConfig, in torchao's order.
struct NVFP4WeightOnlyFields {
  bool use_dynamic_per_tensor_scale = true;  ///< a second scale for the tensor
};

/// NVFP4 weights: float4 with a float8 scale for 16.
/// Not available in this version.
class NVFP4WeightOnlyConfig final
    : public LaterConfigOf<NVFP4WeightOnlyFields> {
 public:
  using LaterConfigOf::LaterConfigOf;
  std::string_view type() const override { return "NVFP4WeightOnlyConfig"; }

 private:
  void write_fields(FieldWriter& writer) const override;
  void read_fields(FieldReader& reader) override;
};

}  // namespace mantissa
