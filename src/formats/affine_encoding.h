#pragma once

#include <memory>
#include <optional>
#include <vector>

#include <mantissa/core/enums.h>
#include <mantissa/formats/encoding.h>

#include "formats/row_blocks.h"

namespace mantissa {

/// Fields of a tensor of affine codes, beside its shape and logical dtype.
struct AffineLayout {
  Shape block_size;
  DType scale_dtype = DType::Float32;
  std::optional<DType> zero_point_dtype = DType::Int8;  ///< absent: no field
  IntegerRange range = {-128, 127};                     ///< of the codes
  std::vector<FieldLayout> extra = {};  ///< after qdata, scale, zero_point
};

/// What Int8Tensor and IntxUnpackedToInt8Tensor share: `qdata` (int8), `scale`
/// and `zero_point` on blocks, w = (q - zero_point) * scale.
class AffineEncoding : public Encoding {
 public:
  AffineEncoding(Shape shape, DType dtype, AffineLayout layout)
      : Encoding(std::move(shape), dtype), layout_(std::move(layout)) {}

  std::vector<FieldLayout> fields() const override;
  HostTensor decode(std::span<const ConstTensorView> fields) const override;
  EncodedTensor slice(std::span<const ConstTensorView> fields,
                      std::int64_t dim,
                      std::int64_t begin,
                      std::int64_t end) const override;
  EncodedTensor select(std::span<const ConstTensorView> fields,
                       std::int64_t index) const override;
  EncodedRows rows(const RowBlock& block) const override;
  std::int64_t row_unit() const override;
  std::int64_t pass_bytes() const override;
  std::string check_values(
      std::span<const ConstTensorView> fields) const override;

  const AffineLayout& layout() const { return layout_; }
  /// How an encoder chooses zero points: all are 0 unless it is Asymmetric.
  /// Files do not say it.
  virtual MappingType mapping() const = 0;

 protected:
  RowBlocks blocks() const { return {shape(), layout_.block_size}; }
  /// The same format and attributes with another shape and layout.
  virtual std::shared_ptr<const Encoding> with(Shape shape,
                                               AffineLayout layout) const = 0;

 private:
  // qdata, scale and zero_point.
  std::size_t block_fields() const { return layout_.zero_point_dtype ? 3 : 2; }

  AffineLayout layout_;
};

/// Throws Error(Usage) naming `owner` unless a weight of this shape and dtype
/// can be cut into these blocks: one dimension or more, float32, bfloat16 or
/// float16, positive block extents that divide.
void check_affine_weight(std::string_view owner,
                         const Shape& shape,
                         DType dtype,
                         const Shape& block_size);

/// The layout of a file's fields: `qdata` int8, `scale` float, `zero_point`
/// int8 or (`float_zero_point`) float, the latter two shape / block_size.
/// Throws Error(Input) naming `owner`, the attribute or the field.
enum class ZeroPointKind { OptionalInt8, Int8OrFloat };
AffineLayout parse_affine_layout(std::string_view owner,
                                 const Shape& block_size,
                                 DType dtype,
                                 ZeroPointKind zero_point,
                                 std::span<const FieldLayout> fields);

}  // namespace mantissa
