#pragma once

#include <cstdint>
#include <string_view>

#include <mantissa/configs/field_config.h>

namespace mantissa {

/// Fields of Int4WeightOnlyConfig, in torchao's order.
struct Int4WeightOnlyFields {
  std::int64_t group_size = 128;    ///< columns of one scale
  bool set_inductor_config = true;  ///< kept for JSON
  EnumField<Int4PackingFormat> int4_packing_format =
      Int4PackingFormat::Plain;  ///< PLAIN or TILE_PACKED_TO_4D here
  EnumField<Int4ChooseQParamsAlgorithm> int4_choose_qparams_algorithm =
      Int4ChooseQParamsAlgorithm::Tinygemm;  ///< HQQ for tile-packed only
  std::int64_t int4_tile_packed_ntile = 8;   ///< 8 or 16
};

/// Int4 weights in groups along K: Int4Tensor (PLAIN, which ignores the
/// algorithm) or Int4TilePackedTo4dTensor (bfloat16 weights, groups of 32, 64,
/// 128 or 256).
class Int4WeightOnlyConfig final : public ConfigOf<Int4WeightOnlyFields> {
 public:
  using ConfigOf::ConfigOf;
  std::string_view type() const override { return "Int4WeightOnlyConfig"; }
  std::int64_t version() const override { return 2; }
  void validate() const override;
  WeightChoice choose(const Shape& shape, DType dtype) const override;

 private:
  void write_fields(FieldWriter& writer) const override;
  void read_fields(FieldReader& reader) override;
};

}  // namespace mantissa
