#pragma once

#include <cstdint>
#include <string_view>

#include <mantissa/configs/field_config.h>

namespace mantissa {

/// Fields of GGUFWeightOnlyConfig, in torchao's order.
struct GGUFWeightOnlyFields {
  DType dtype = DType::UInt4;                ///< codes
  std::int64_t n_blocks_per_superblock = 8;  ///< blocks in 256 elements
};

/// torchao's own super-block format, which is not ggml's Q4_K.
/// Not available in this version.
class GGUFWeightOnlyConfig final : public LaterConfigOf<GGUFWeightOnlyFields> {
 public:
  using LaterConfigOf::LaterConfigOf;
  std::string_view type() const override { return "GGUFWeightOnlyConfig"; }

 private:
  void write_fields(FieldWriter& writer) const override;
  void read_fields(FieldReader& reader) override;
};

}  // namespace mantissa
