#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <mantissa/configs/field_config.h>

namespace mantissa {

/// Fields of GPTQConfig, in torchao's order.
struct GPTQFields {
  std::string step = "observe";  ///< observe or convert
  ConfigPtr base_config = {};    ///< what is applied; torchao has no default
  double percdamp = 0.01;        ///< damping of the diagonal
  std::int64_t gptq_quantize_block_size = 256;  ///< columns of one block
};

/// Rounds weights with second-order statistics, for another config.
/// Not available in this version.
class GPTQConfig final : public LaterConfigOf<GPTQFields> {
 public:
  using LaterConfigOf::LaterConfigOf;
  std::string_view type() const override { return "GPTQConfig"; }

 private:
  void write_fields(FieldWriter& writer) const override;
  void read_fields(FieldReader& reader) override;
};

}  // namespace mantissa
