#include "formats/affine_encoding.h"

#include <algorithm>
#include <string>

#include <fmt/format.h>

#include <mantissa/core/error.h>
#include <mantissa/primitives/affine.h>

#include "formats/act_pre_scale.h"
#include "formats/affine_encoder.h"
#include "formats/dense_slice.h"
#include "formats/fields.h"
#include "kernels/dequantize_affine.h"
#include "primitives/elements.h"

namespace mantissa {
namespace {

enum Field : std::size_t { kQdata, kScale, kZeroPoint };

bool weight_dtype(DType dtype) {
  return dtype == DType::Float32 || dtype == DType::BFloat16 ||
         dtype == DType::Float16;
}

constexpr std::int64_t kChunkGroups = 8192;  // parameters stay in the cache

// Rows of a weight seen as [numel / K, K].
struct Rows {
  std::int64_t first;
  std::int64_t count;
};

void decode_rows(const RowBlocks& blocks,
                 const MatrixShape& shape,
                 std::span<const ConstTensorView> fields,
                 bool has_zero_point,
                 Rows rows,
                 HostTensor& out) {
  std::vector<float> scale;
  std::vector<float> zero_point;
  for (std::int64_t r = rows.first; r < rows.first + rows.count; ++r) {
    const std::int64_t first =
        blocks.first_block(r / shape.rows, r % shape.rows);
    for (std::int64_t g = first; g < first + blocks.groups(); ++g) {
      const double zero =
          has_zero_point ? load_element(fields[kZeroPoint], g) : 0.0;
      scale.push_back(static_cast<float>(load_element(fields[kScale], g)));
      zero_point.push_back(round_to(out.dtype(), static_cast<float>(zero)));
    }
  }
  const std::int64_t at = rows.first * shape.columns;
  kernels::dequantize_affine(out.dtype(),
                             {fields[kQdata].as<std::int8_t>() + at,
                              rows.count * blocks.groups(),
                              blocks.group(),
                              scale.data(),
                              zero_point.data(),
                              out.data() + at * (bit_width(out.dtype()) / 8)});
}

// Whether all codes of a run are in range; without a branch in the loop, so
// that compilers vectorize it.
bool all_within(const std::int8_t* q,
                std::int64_t count,
                std::int8_t min,
                std::int8_t max) {
  unsigned outside = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    outside |= static_cast<unsigned>(q[i] < min) | (q[i] > max);
  }
  return outside == 0;
}

std::string describe_codes(ConstTensorView qdata, IntegerRange range) {
  constexpr std::int64_t kRun = 4096;
  const std::int8_t* q = qdata.as<std::int8_t>();
  const auto min = static_cast<std::int8_t>(range.min);
  const auto max = static_cast<std::int8_t>(range.max);
  const std::int64_t count = qdata.numel();
  std::int64_t i = 0;
  while (i < count && all_within(q + i, std::min(kRun, count - i), min, max)) {
    i += kRun;
  }
  for (; i < count; ++i) {
    if (q[i] >= min && q[i] <= max) continue;
    return fmt::format("{} is {}, expected {} to {}",
                       fields::element_name("qdata", qdata.shape, i),
                       q[i],
                       range.min,
                       range.max);
  }
  return {};
}

}  // namespace

std::vector<FieldLayout> AffineEncoding::fields() const {
  const Shape grid = blocks().grid();
  std::vector<FieldLayout> fields = {{"qdata", DType::Int8, shape()},
                                     {"scale", layout_.scale_dtype, grid}};
  if (layout_.zero_point_dtype) {
    fields.push_back({"zero_point", *layout_.zero_point_dtype, grid});
  }
  fields.insert(fields.end(), layout_.extra.begin(), layout_.extra.end());
  return fields;
}

HostTensor AffineEncoding::decode(
    std::span<const ConstTensorView> fields) const {
  HostTensor out(dtype(), shape());
  const RowBlocks blocks = this->blocks();
  const MatrixShape matrices = matrix_shape(shape());
  const bool zero_point = layout_.zero_point_dtype.has_value();
  const std::int64_t all = matrices.matrices * matrices.rows;
  const std::int64_t step = std::max<std::int64_t>(
      1, kChunkGroups / std::max<std::int64_t>(1, blocks.groups()));
  for (std::int64_t row = 0; row < all; row += step) {
    const std::int64_t rows = std::min(step, all - row);
    decode_rows(blocks, matrices, fields, zero_point, {row, rows}, out);
  }
  return out;
}

EncodedTensor AffineEncoding::slice(std::span<const ConstTensorView> fields,
                                    std::int64_t dim,
                                    std::int64_t begin,
                                    std::int64_t end) const {
  fields::check_slice(format_name(), shape(), dim, begin, end);
  const auto d = static_cast<std::size_t>(dim);
  const BlockCut cut =
      cut_blocks(format_name(), dim, layout_.block_size[d], begin, end);
  std::vector<HostTensor> out;
  out.push_back(slice_dense(fields[kQdata], dim, begin, end));
  for (std::size_t i = kScale; i < block_fields(); ++i) {
    out.push_back(slice_dense(fields[i], dim, cut.first_block, cut.last_block));
  }
  AffineLayout layout = layout_;
  layout.block_size[d] = cut.block;
  const bool columns = d + 1 == shape().size();
  for (FieldLayout& extra : layout.extra) {
    const ConstTensorView& field = fields[out.size()];
    out.push_back(columns && extra.name == "act_pre_scale"
                      ? act_pre_scale::sliced(field, begin, end)
                      : fields::copied(field));
    extra.shape = out.back().shape();
  }
  Shape cut_shape = shape();
  cut_shape[d] = end - begin;
  return {with(std::move(cut_shape), std::move(layout)), std::move(out)};
}

EncodedTensor AffineEncoding::select(std::span<const ConstTensorView> fields,
                                     std::int64_t index) const {
  fields::check_select(format_name(), shape(), index);
  std::vector<HostTensor> out;
  out.push_back(fields::copied(select_dense(fields[kQdata], index)));
  const std::int64_t block = index / layout_.block_size[0];
  for (std::size_t i = kScale; i < block_fields(); ++i) {
    out.push_back(fields::copied(select_dense(fields[i], block)));
  }
  for (std::size_t i = block_fields(); i < fields.size(); ++i) {
    out.push_back(fields::copied(fields[i]));
  }
  AffineLayout layout = layout_;
  layout.block_size.erase(layout.block_size.begin());
  return {with(Shape(shape().begin() + 1, shape().end()), std::move(layout)),
          std::move(out)};
}

std::int64_t AffineEncoding::row_unit() const {
  const std::size_t rank = shape().size();
  if (rank < 2) return 1;
  // One block over all rows: its parameters hold for every part of it.
  const std::int64_t block = layout_.block_size[rank - 2];
  return block == shape()[rank - 2] ? 1 : block;
}

EncodedRows AffineEncoding::rows(const RowBlock& block) const {
  fields::check_rows(format_name(), shape(), block, row_unit());
  const RowBlocks blocks = this->blocks();
  const MatrixShape matrices = matrix_shape(shape());
  const std::size_t rank = shape().size();
  const std::int64_t height =
      rank < 2 ? 1 : std::min(layout_.block_size[rank - 2], block.rows);
  AffineLayout layout = layout_;
  layout.block_size = {height, blocks.group()};
  EncodedRows out{with({block.rows, matrices.columns}, std::move(layout)), {}};
  out.fields.push_back(
      fields::row_runs(DType::Int8,
                       matrices.columns,
                       block.matrix * matrices.rows + block.row,
                       block.rows));
  const std::int64_t first =
      blocks.groups() == 0
          ? 0
          : blocks.first_block(block.matrix, block.row) / blocks.groups();
  const std::vector<FieldLayout> layouts = fields();
  for (std::size_t i = kScale; i < layouts.size(); ++i) {
    out.fields.push_back(
        i < block_fields()
            ? fields::row_runs(
                  layouts[i].dtype, blocks.groups(), first, block.rows / height)
            : fields::all_of(layouts[i]));
  }
  return out;
}

std::int64_t AffineEncoding::pass_bytes() const {
  return affine_pass_bytes(blocks());
}

std::string AffineEncoding::check_values(
    std::span<const ConstTensorView> fields) const {
  std::string wrong = describe_codes(fields[kQdata], layout_.range);
  const std::vector<FieldLayout> layouts = this->fields();
  for (std::size_t i = kScale; wrong.empty() && i < fields.size(); ++i) {
    wrong = fields::describe_nonfinite(layouts[i].name, fields[i]);
  }
  return wrong;
}

void check_affine_weight(std::string_view owner,
                         const Shape& shape,
                         DType dtype,
                         const Shape& block_size) {
  if (shape.empty()) {
    throw Error(
        ErrorKind::Usage,
        fmt::format("{}: shape: expected [N, K] or [E, N, K], got []", owner));
  }
  if (!weight_dtype(dtype)) {
    throw Error(ErrorKind::Usage,
                fmt::format("{}: dtype: expected float32, bfloat16 or float16, "
                            "got {}",
                            owner,
                            name(dtype)));
  }
  bool fits = shape.size() == block_size.size();
  for (std::size_t i = 0; fits && i < shape.size(); ++i) {
    fits = block_size[i] > 0 && shape[i] % block_size[i] == 0;
  }
  if (!fits) {
    throw Error(ErrorKind::Usage,
                fmt::format("{}: block_size: expected a positive divisor of "
                            "each extent of {}, got {}",
                            owner,
                            to_string(shape),
                            to_string(block_size)));
  }
}

AffineLayout parse_affine_layout(std::string_view owner,
                                 const Shape& block_size,
                                 DType dtype,
                                 ZeroPointKind zero_point,
                                 std::span<const FieldLayout> fields) {
  const Shape& shape = fields::require(owner, fields, "qdata").shape;
  fields::check(owner, fields, {"qdata", DType::Int8, shape});
  try {
    check_affine_weight(owner, shape, dtype, block_size);
  } catch (const Error& error) {
    throw Error(ErrorKind::Input, error.what());
  }
  AffineLayout layout;
  layout.block_size = block_size;
  const Shape grid = RowBlocks(shape, block_size).grid();
  layout.scale_dtype = fields::require(owner, fields, "scale").dtype;
  if (!weight_dtype(layout.scale_dtype)) layout.scale_dtype = DType::Float32;
  fields::check(owner, fields, {"scale", layout.scale_dtype, grid});
  const FieldLayout* zero = fields::find(fields, "zero_point");
  if (zero == nullptr && zero_point == ZeroPointKind::OptionalInt8) {
    layout.zero_point_dtype = std::nullopt;
    return layout;
  }
  const bool floats = zero_point == ZeroPointKind::Int8OrFloat &&
                      zero != nullptr && weight_dtype(zero->dtype);
  layout.zero_point_dtype = floats ? zero->dtype : DType::Int8;
  fields::check(owner, fields, {"zero_point", *layout.zero_point_dtype, grid});
  return layout;
}

}  // namespace mantissa
