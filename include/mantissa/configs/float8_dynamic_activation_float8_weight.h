#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include <mantissa/configs/field_config.h>
#include <mantissa/formats/float8_tensor.h>

namespace mantissa {

/// Fields of Float8DynamicActivationFloat8WeightConfig, in torchao's order.
struct Float8DynamicActivationFloat8WeightFields {
  DType activation_dtype = DType::Float8E4M3FN;  ///< a float8 dtype
  DType weight_dtype = DType::Float8E4M3FN;      ///< a float8 dtype
  /// One, or [activation, weight]: both PerTensor, both PerRow, or
  /// [PerBlock(1x128), PerBlock(128x128)]; None is PerTensor.
  Granularities granularity = {};
  std::optional<EnumField<Float8PackingFormat>> packing_format =
      Float8PackingFormat::Plain;  ///< the only one here
  /// None: fast accumulation, but not for blocks.
  std::optional<Float8MMConfig> mm_config = {};
  /// Bounds of an activation's largest magnitude.
  std::optional<double> activation_value_lb = {};
  std::optional<double> activation_value_ub = {};
  EnumField<KernelPreference> kernel_preference = KernelPreference::Auto;
  bool set_inductor_config = true;  ///< kept for JSON
  std::int64_t alg_id = 0;          ///< of the sparse kernels
};

/// Float8 weights and activations quantized to float8 at run time: Float8Tensor
/// with activation arguments. Both dimensions are multiples of 16; per-row
/// scales take bfloat16 weights.
class Float8DynamicActivationFloat8WeightConfig final
    : public ConfigOf<Float8DynamicActivationFloat8WeightFields> {
 public:
  using ConfigOf::ConfigOf;
  std::string_view type() const override {
    return "Float8DynamicActivationFloat8WeightConfig";
  }
  std::int64_t version() const override { return 2; }
  void validate() const override;
  WeightChoice choose(const Shape& shape, DType dtype) const override;

 private:
  void write_fields(FieldWriter& writer) const override;
  void read_fields(FieldReader& reader) override;
};

}  // namespace mantissa
