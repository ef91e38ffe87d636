#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include <mantissa/configs/field_config.h>

namespace mantissa {

/// Fields of Float8WeightOnlyConfig, in torchao's order.
struct Float8WeightOnlyFields {
  DType weight_dtype = DType::Float8E4M3FN;  ///< a float8 dtype
  bool set_inductor_config = true;           ///< kept for JSON
  /// PerTensor, PerRow or PerGroup; None is PerRow.
  std::optional<Granularity> granularity = {};
};

/// Float8 weights: Float8Tensor without activation quantization.
class Float8WeightOnlyConfig final : public ConfigOf<Float8WeightOnlyFields> {
 public:
  using ConfigOf::ConfigOf;
  std::string_view type() const override { return "Float8WeightOnlyConfig"; }
  std::int64_t version() const override { return 2; }
  void validate() const override;
  WeightChoice choose(const Shape& shape, DType dtype) const override;

 private:
  void write_fields(FieldWriter& writer) const override;
  void read_fields(FieldReader& reader) override;
};

}  // namespace mantissa
