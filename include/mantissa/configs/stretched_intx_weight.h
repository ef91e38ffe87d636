#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <mantissa/configs/field_config.h>

namespace mantissa {

/// Fields of StretchedIntxWeightConfig, in torchao's order.
struct StretchedIntxWeightFields {
  Granularity granularity = PerAxis{0};        ///< or PerGroup
  std::optional<DType> scale_dtype = {};       ///< None is the weight's
  std::optional<std::int64_t> b = {};          ///< bits
  std::optional<std::int64_t> quant_min = {};  ///< least code
  std::optional<std::int64_t> quant_max = {};  ///< largest code
  std::optional<std::string> activation_quantization =
      "int8_asym_per_token";  ///< or None
};

/// IntxUnpackedToInt8Tensor with the stretched grid of PARQ.
/// Not available in this version.
class StretchedIntxWeightConfig final
    : public LaterConfigOf<StretchedIntxWeightFields> {
 public:
  using LaterConfigOf::LaterConfigOf;
  std::string_view type() const override { return "StretchedIntxWeightConfig"; }
  std::int64_t version() const override { return 2; }

 private:
  void write_fields(FieldWriter& writer) const override;
  void read_fields(FieldReader& reader) override;
};

}  // namespace mantissa
