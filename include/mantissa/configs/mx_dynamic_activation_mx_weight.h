#pragma once

#include <cstdint>
#include <string_view>

#include <mantissa/configs/field_config.h>

namespace mantissa {

/// Fields of MXDynamicActivationMXWeightConfig, in torchao's order.
struct MXDynamicActivationMXWeightFields {
  std::int64_t block_size = 32;                  ///< elements of one scale
  DType activation_dtype = DType::Float8E4M3FN;  ///< e4m3fn, e5m2 or float4
  DType weight_dtype = DType::Float8E4M3FN;      ///< the same
  EnumField<KernelPreference> kernel_preference =
      KernelPreference::Auto;  ///< who multiplies
  EnumField<ScaleCalculationMode> scaling_mode =
      ScaleCalculationMode::Rceil;  ///< how a scale is rounded
};

/// MX weights and activations: float8 or float4 with a power-of-two scale
/// for 32. Not available in this version.
class MXDynamicActivationMXWeightConfig final
    : public LaterConfigOf<MXDynamicActivationMXWeightFields> {
 public:
  using LaterConfigOf::LaterConfigOf;
  std::string_view type() const override {
    return "MXDynamicActivationMXWeightConfig";
  }

 private:
  void write_fields(FieldWriter& writer) const override;
  void read_fields(FieldReader& reader) override;
};

}  // namespace mantissa
