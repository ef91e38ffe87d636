#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include <mantissa/configs/field_config.h>

namespace mantissa {

/// Fields of Int8WeightOnlyConfig, in torchao's order.
struct Int8WeightOnlyFields {
  std::optional<std::int64_t> group_size = {};  ///< must stay None in version 2
  std::optional<Granularity> granularity =
      PerRow{};                     ///< or PerTensor, PerGroup
  bool set_inductor_config = true;  ///< kept for JSON
};

/// Int8 weights, symmetric: Int8Tensor without activation quantization.
class Int8WeightOnlyConfig final : public ConfigOf<Int8WeightOnlyFields> {
 public:
  using ConfigOf::ConfigOf;
  std::string_view type() const override { return "Int8WeightOnlyConfig"; }
  std::int64_t version() const override { return 2; }
  void validate() const override;
  WeightChoice choose(const Shape& shape, DType dtype) const override;

 private:
  void write_fields(FieldWriter& writer) const override;
  void read_fields(FieldReader& reader) override;
};

}  // namespace mantissa
