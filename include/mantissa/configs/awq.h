#pragma once

#include <cstdint>
#include <string_view>

#include <mantissa/configs/field_config.h>

namespace mantissa {

/// Fields of AWQConfig, in torchao's order.
struct AWQFields {
  ConfigPtr base_config = {};  ///< what is applied; torchao has no default
  EnumField<QuantizationStep> step{
      QuantizationStep::Prepare,
      EnumForm::Raw};                         ///< always a raw string in files
  std::int64_t scale_search_space_size = 20;  ///< scales tried
};

/// Scales columns by activation statistics before another config.
/// Not available in this version.
class AWQConfig final : public LaterConfigOf<AWQFields> {
 public:
  using LaterConfigOf::LaterConfigOf;
  std::string_view type() const override { return "AWQConfig"; }

 private:
  void write_fields(FieldWriter& writer) const override;
  void read_fields(FieldReader& reader) override;
};

}  // namespace mantissa
