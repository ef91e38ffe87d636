#pragma once

#include <cstdint>
#include <string_view>

#include <mantissa/configs/field_config.h>

namespace mantissa {

/// Fields of NF4WeightOnlyConfig. torchao has them as class attributes that
/// cannot be given; here they can, and files hold them when they differ from
/// the default.
struct NF4WeightOnlyFields {
  std::int64_t block_size = 64;          ///< elements of one scaler
  std::int64_t scaler_block_size = 256;  ///< scalers of one factor
};

/// NF4 weights with doubly quantized scales (QLoRA): NF4Tensor. 2-D weights
/// whose element count is a multiple of block_size * scaler_block_size.
class NF4WeightOnlyConfig final : public ConfigOf<NF4WeightOnlyFields> {
 public:
  using ConfigOf::ConfigOf;
  std::string_view type() const override { return "NF4WeightOnlyConfig"; }
  void validate() const override;
  WeightChoice choose(const Shape& shape, DType dtype) const override;

 private:
  void write_fields(FieldWriter& writer) const override;
  void read_fields(FieldReader& reader) override;
};

}  // namespace mantissa
