#pragma once

#include <optional>
#include <string_view>

#include <mantissa/configs/field_config.h>

namespace mantissa {

/// Fields of SmoothQuantConfig, in torchao's order.
struct SmoothQuantFields {
  ConfigPtr base_config = {};  ///< what is applied; torchao has no default
  EnumField<QuantizationStep> step{
      QuantizationStep::Prepare,
      EnumForm::Raw};                 ///< always a raw string in files
  std::optional<double> alpha = 0.5;  ///< None smooths nothing
  bool use_running_absmax = false;    ///< statistics in less memory
};

/// Moves outliers of activations into weights before another config.
/// Not available in this version.
class SmoothQuantConfig final : public LaterConfigOf<SmoothQuantFields> {
 public:
  using LaterConfigOf::LaterConfigOf;
  std::string_view type() const override { return "SmoothQuantConfig"; }

 private:
  void write_fields(FieldWriter& writer) const override;
  void read_fields(FieldReader& reader) override;
};

}  // namespace mantissa
