#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <mantissa/configs/field_config.h>

namespace mantissa {

/// Fields of GroupwiseLutWeightConfig, in torchao's order.
struct GroupwiseLutWeightFields {
  DType code_dtype = DType::Int4;       ///< size of the table
  DType weight_dtype = DType::Float32;  ///< dtype of the entries
  std::string backend = "auto";         ///< auto, scale or coreml
  std::vector<std::int64_t> lut_block_shape = {2, -1};  ///< [N, -1] or [-1, K]
  std::optional<std::vector<std::int64_t>>
      scale_block_shape;           ///< for the backend scale
  bool use_qdq_reference = false;  ///< plain arithmetic instead of the kernel
  std::optional<std::string> target = {};     ///< kernel target
  std::optional<std::string> cache_dir = {};  ///< kept for JSON
  bool has_scale = false;                     ///< must be false in torchao
};

/// Lookup tables for groups of rows or columns, for ARM kernels.
/// Not available in this version.
class GroupwiseLutWeightConfig final
    : public LaterConfigOf<GroupwiseLutWeightFields> {
 public:
  using LaterConfigOf::LaterConfigOf;
  std::string_view type() const override { return "GroupwiseLutWeightConfig"; }

 private:
  void write_fields(FieldWriter& writer) const override;
  void read_fields(FieldReader& reader) override;
};

}  // namespace mantissa
