#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include <mantissa/configs/field_config.h>

namespace mantissa {

/// Fields of UIntxWeightOnlyConfig, in torchao's order.
struct UIntxWeightOnlyFields {
  std::optional<std::int64_t> group_size = 128;  ///< None (per row) for 8 bits
  std::int64_t bit_width = 4;                    ///< 4 or 8
  std::optional<std::int64_t> packing_bitwidth = {};  ///< 8, 16, 32 or None
  bool set_inductor_config = true;                    ///< kept for JSON
};

/// Bit-packed 4- or 8-bit weights for gemlite kernels.
/// Not available in this version.
class UIntxWeightOnlyConfig final
    : public LaterConfigOf<UIntxWeightOnlyFields> {
 public:
  using LaterConfigOf::LaterConfigOf;
  std::string_view type() const override { return "UIntxWeightOnlyConfig"; }

 private:
  void write_fields(FieldWriter& writer) const override;
  void read_fields(FieldReader& reader) override;
};

/// Bit-packed 4- or 8-bit weights with dynamic int8 activations.
/// Not available in this version.
class Int8DynamicActivationUIntxWeightConfig final
    : public LaterConfigOf<UIntxWeightOnlyFields> {
 public:
  using LaterConfigOf::LaterConfigOf;
  std::string_view type() const override {
    return "Int8DynamicActivationUIntxWeightConfig";
  }

 private:
  void write_fields(FieldWriter& writer) const override;
  void read_fields(FieldReader& reader) override;
};

}  // namespace mantissa
