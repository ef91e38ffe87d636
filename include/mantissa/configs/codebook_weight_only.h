#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include <mantissa/configs/field_config.h>

namespace mantissa {

/// Fields of CodebookWeightOnlyConfig, in torchao's order.
struct CodebookWeightOnlyFields {
  DType dtype = DType::UInt4;  ///< codes: uint1 to uint8, or int32
  std::vector<std::int64_t> block_size = {1, 1};      ///< elements of one code
  std::optional<std::int64_t> scale_block_size = {};  ///< None is the whole row
};

/// Weights as indices into a learned codebook, with scales.
/// Not available in this version.
class CodebookWeightOnlyConfig final
    : public LaterConfigOf<CodebookWeightOnlyFields> {
 public:
  using LaterConfigOf::LaterConfigOf;
  std::string_view type() const override { return "CodebookWeightOnlyConfig"; }

 private:
  void write_fields(FieldWriter& writer) const override;
  void read_fields(FieldReader& reader) override;
};

/// Fields of CoremlCodebookWeightOnlyConfig, in torchao's order.
struct CoremlCodebookWeightOnlyFields {
  DType dtype = DType::UInt4;  ///< codes; torchao has no default
  std::vector<std::int64_t> block_size =
      {};  ///< block of one table; torchao has no default
};

/// Weights as indices into lookup tables of Core ML; its class in torchao is
/// also called CodebookWeightOnlyConfig and has no scale_block_size. Not
/// available in this version.
class CoremlCodebookWeightOnlyConfig final
    : public LaterConfigOf<CoremlCodebookWeightOnlyFields> {
 public:
  using LaterConfigOf::LaterConfigOf;
  std::string_view type() const override { return "CodebookWeightOnlyConfig"; }

 private:
  void write_fields(FieldWriter& writer) const override;
  void read_fields(FieldReader& reader) override;
};

}  // namespace mantissa
