#pragma once

#include <cstdint>
#include <string_view>

#include <mantissa/configs/field_config.h>

namespace mantissa {

/// Fields of PrototypeInt4WeightOnlyConfig, in torchao's order.
struct PrototypeInt4WeightOnlyFields {
  std::int64_t group_size = 128;  ///< 32, 64 or 128
  EnumField<Int4ChooseQParamsAlgorithm> int4_choose_qparams_algorithm =
      Int4ChooseQParamsAlgorithm::Tinygemm;  ///< or HQQ
  bool set_inductor_config = true;           ///< kept for JSON
};

/// Int4 weights in the packed form of one CPU.
/// Not available in this version.
class PrototypeInt4WeightOnlyConfig final
    : public LaterConfigOf<PrototypeInt4WeightOnlyFields> {
 public:
  using LaterConfigOf::LaterConfigOf;
  std::string_view type() const override {
    return "PrototypeInt4WeightOnlyConfig";
  }

 private:
  void write_fields(FieldWriter& writer) const override;
  void read_fields(FieldReader& reader) override;
};

}  // namespace mantissa
