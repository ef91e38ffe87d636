#pragma once

#include <memory>
#include <string_view>

#include <mantissa/core/dtype.h>
#include <mantissa/core/enums.h>
#include <mantissa/formats/encoding.h>

#include "formats/row_blocks.h"

namespace mantissa {

/// How affine codes of a weight are found. Fields 0, 1 and 2 of the encoding
/// are qdata (int8), scale and zero_point (int8).
struct AffineRule {
  std::string_view owner;  ///< names the format in messages
  Shape shape;
  DType dtype;  ///< of the weight, and of the arithmetic on scales
  RowBlocks blocks;
  MappingType mapping;
  IntegerRange range;
  float eps;          ///< floor of the scale
  DType scale_dtype;  ///< as stored; codes use the stored scale
};

/// Encoder with affine_qparams() for each block. One pass over the weight
/// precedes when blocks reach over several rows.
std::unique_ptr<Encoder> make_affine_encoder(AffineRule rule);

/// Encoder with scale-only HQQ: up to 21 passes; blocks lie within rows.
/// mapping and eps are not used; with another scale_dtype than the weight's the
/// codes are found again from the stored scale, as torchao does.
std::unique_ptr<Encoder> make_hqq_scale_only_encoder(AffineRule rule);

/// What these encoders keep of the whole weight between their passes
/// (Encoding::pass_bytes()).
std::int64_t affine_pass_bytes(const RowBlocks& blocks);
std::int64_t hqq_scale_only_pass_bytes(const RowBlocks& blocks);

/// Throws Error(Input) that names the first element of `rows` that is NaN or
/// infinite, by its index in the weight of `shape`; returns if there is none.
void refuse_nonfinite(std::string_view owner,
                      const Shape& shape,
                      const RowBlock& block,
                      ConstTensorView rows);

}  // namespace mantissa
