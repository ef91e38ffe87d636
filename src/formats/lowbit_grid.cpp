#include "formats/lowbit_grid.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <functional>
#include <iterator>
#include <utility>

#include "formats/affine_encoding.h"
#include "formats/compressed_tensor.h"
#include "formats/fields.h"
#include "formats/float8_tensor.h"
#include "formats/fused_grid.h"
#include "formats/fused_tensor.h"
#include "formats/gguf_tensor.h"
#include "formats/int4_grid.h"
#include "formats/int4_tensor.h"
#include "formats/int4_tensor_encoder.h"
#include "formats/int4_tile_packed_grid.h"
#include "formats/int4_tile_packed_to_4d_tensor.h"

namespace mantissa {
namespace {

using fields::copied;
using kernels::LowbitCode;
using kernels::LowbitLayout;

int bits_of(const IntegerRange& range) {
  return std::bit_width(static_cast<std::uint64_t>(-range.min));
}

std::string affine_layout(const AffineEncoding& encoding, LowbitLayout& out) {
  const AffineLayout& stored = encoding.layout();
  if (stored.zero_point_dtype.value_or(DType::Int8) != DType::Int8) {
    return "its zero points are not integers";
  }
  for (const FieldLayout& field : stored.extra) {
    if (field.name == "act_pre_scale") {
      return "it holds an act_pre_scale for activations";
    }
    if (numel(field.shape) != 1) {
      return "it holds a scale for each row of activations";
    }
  }
  // Int8Tensor's codes may be narrower than its dtype says.
  out.bits = encoding.format_name() == "Int8Tensor" ? 8 : bits_of(stored.range);
  out.group = stored.block_size.back();
  return {};
}

std::string compressed_layout(const CompressedEncoding& encoding,
                              LowbitLayout& out) {
  const CompressedSpec& spec = encoding.spec();
  if (encoding.shape().size() != 2) return "it is not a matrix";
  if (spec.layout != CodeLayout::Dense) return "its codes are padded";
  out.bits = spec.num_bits;
  out.group = encoding.scale_columns();
  return {};
}

std::string float8_layout(const Float8Parameters& float8, LowbitLayout& out) {
  if (float8.spec.act_quant_kwargs) {
    return "its config names float8 activations";
  }
  const DType dtype = float8.spec.float8_dtype;
  if (dtype != DType::Float8E4M3FN && dtype != DType::Float8E5M2) {
    return "its float8 dtype is not float8_e4m3fn or float8_e5m2";
  }
  out.bits = 8;
  out.group = float8.grid.run;
  return {};
}

std::string int4_layout(const Int4Parameters& int4, LowbitLayout& out) {
  if (int4.spec.activation_dtype != DType::BFloat16) {
    return "its config names float8 activations";
  }
  if (int4.act_pre_scale) return "it holds an act_pre_scale for activations";
  out.bits = 4;
  out.group = int4.spec.group_size;
  return {};
}

std::string tile_packed_layout(const TilePackedParameters& tiles,
                               LowbitLayout& out) {
  if (tiles.act_pre_scale) return "it holds an act_pre_scale for activations";
  out.bits = 4;
  out.group = tiles.layout.group_size;
  return {};
}

std::string gguf_layout(const GgufGrid& grid, LowbitLayout& out) {
  out.bits = grid.bits;
  out.group = grid.group;
  out.from_zero = grid.minima;
  out.super = grid.levels() ? grid.block : 0;
  return {};
}

LowbitGrid gguf_grid_of(const GgufGrid& grid,
                        std::span<const ConstTensorView> fields) {
  const GgufFields at = gguf_fields(grid);
  const auto part = [&](std::size_t field) {
    return field == 0 ? HostTensor() : copied(fields[field]);
  };
  return {HostTensor(),
          copied(fields[GgufFields::kScale]),
          HostTensor(),
          part(at.minimum),
          part(at.factor),
          part(at.minimum_factor)};
}

std::vector<HostTensor> gguf_stored_fields(const GgufGrid& grid,
                                           LowbitGrid parts) {
  std::vector<HostTensor> out;
  out.push_back(std::move(parts.codes));
  out.push_back(std::move(parts.scale));
  if (grid.minima) out.push_back(std::move(parts.offset));
  if (!grid.levels()) return out;
  out.push_back(std::move(parts.factor));
  if (grid.minima) out.push_back(std::move(parts.offset_factor));
  return out;
}

// Whether an affine weight has zero points beside its scales.
bool has_integer_zeros(const Encoding& encoding) {
  const auto* affine = dynamic_cast<const AffineEncoding*>(&encoding);
  return affine != nullptr && affine->layout().zero_point_dtype.has_value();
}

// Gives the row of scales of each row of all experts.
std::function<std::int64_t(std::int64_t)> scale_row_of(
    const Encoding& encoding) {
  if (const Float8Parameters* float8 = float8_parameters(encoding)) {
    return [float8](std::int64_t row) { return float8->grid.grid_row(row); };
  }
  if (const auto* affine = dynamic_cast<const AffineEncoding*>(&encoding)) {
    return [blocks = RowBlocks(encoding.shape(), affine->layout().block_size)](
               std::int64_t row) {
      return blocks.first_block(0, row) / blocks.groups();
    };
  }
  const auto* compressed = dynamic_cast<const CompressedEncoding*>(&encoding);
  const std::int64_t rows =
      compressed == nullptr ? 1 : compressed->scale_rows();
  return [rows](std::int64_t row) { return row / rows; };
}

// Codes of 8 bits, the sign bit of each flipped: float8 as int8 and back.
HostTensor with_flipped_signs(ConstTensorView codes, DType dtype) {
  HostTensor out = HostTensor::uninitialized(dtype, codes.shape);
  const auto* from = codes.as<std::uint8_t>();
  auto* to = reinterpret_cast<std::uint8_t*>(out.data());
  const std::int64_t count = codes.numel();
  for (std::int64_t i = 0; i < count; ++i) to[i] = from[i] ^ 0x80;
  return out;
}

std::int64_t row_bytes(const HostTensor& rows) {
  return rows.shape().back() * bit_width(rows.dtype()) / 8;
}

// A row of scales, or zero points, for each row of codes, [rows, G].
HostTensor scales_of_rows(const Encoding& encoding,
                          HostTensor stored,
                          Shape shape) {
  if (stored.numel() == numel(shape)) return stored;
  HostTensor out(stored.dtype(), std::move(shape));
  const std::int64_t bytes = row_bytes(out);
  const auto scale_row = scale_row_of(encoding);
  for (std::int64_t i = 0; i < out.shape()[0]; ++i) {
    std::memcpy(out.data() + i * bytes,
                stored.data() + scale_row(i) * bytes,
                static_cast<std::size_t>(bytes));
  }
  return out;
}

// The way back.
HostTensor stored_scales(const Encoding& encoding,
                         HostTensor rows,
                         Shape shape) {
  if (rows.shape() == shape) return rows;
  HostTensor out(rows.dtype(), std::move(shape));
  const std::int64_t bytes = row_bytes(rows);
  const auto scale_row = scale_row_of(encoding);
  for (std::int64_t i = 0; i < numel(rows.shape()) / rows.shape().back(); ++i) {
    std::memcpy(out.data() + scale_row(i) * bytes,
                rows.data() + i * bytes,
                static_cast<std::size_t>(bytes));
  }
  return out;
}

LowbitGrid float8_grid(const Encoding& encoding,
                       const LowbitLayout& layout,
                       std::span<const ConstTensorView> fields) {
  const auto* compressed = dynamic_cast<const CompressedEncoding*>(&encoding);
  HostTensor codes;
  if (compressed != nullptr) codes = compressed->codes(fields);
  return {
      with_flipped_signs(compressed == nullptr ? fields[0] : codes.view(),
                         DType::Int8),
      scales_of_rows(encoding, copied(fields[1]), {layout.n, layout.groups()}),
      HostTensor()};
}

}  // namespace

std::string lowbit_layout_of(const Encoding& encoding, LowbitLayout& out) {
  const Shape& shape = encoding.shape();
  if (shape.size() != 2 && shape.size() != 3) return "it is not a matrix";
  if (shape.size() == 3 && shape[1] % kernels::kLowbitTile != 0) {
    return "an expert's rows are no multiple of 16";
  }
  const std::int64_t rows = shape.size() == 3 ? shape[0] * shape[1] : shape[0];
  if (is_fused(encoding)) {
    std::string refusal = lowbit_layout_of(one_matrix(encoding), out);
    out.n = rows;
    return refusal;
  }
  out.n = rows;
  out.k = shape.back();
  std::string refusal = "its format has no integer or float8 codes with scales";
  if (const auto* affine = dynamic_cast<const AffineEncoding*>(&encoding)) {
    refusal = affine_layout(*affine, out);
  } else if (const auto* compressed =
                 dynamic_cast<const CompressedEncoding*>(&encoding)) {
    refusal = compressed_layout(*compressed, out);
  } else if (const Float8Parameters* float8 = float8_parameters(encoding)) {
    refusal = float8_layout(*float8, out);
  } else if (const auto int4 = int4_parameters(encoding)) {
    refusal = int4_layout(*int4, out);
  } else if (const auto tiles = tile_packed_parameters(encoding)) {
    refusal = tile_packed_layout(*tiles, out);
  } else if (const GgufGrid* gguf = gguf_grid(encoding)) {
    refusal = gguf_layout(*gguf, out);
  }
  if (!refusal.empty()) return refusal;
  if (out.k == 0) return "it has no columns";
  const char* error = kernels::lowbit_layout_error(out);
  return error == nullptr ? std::string() : std::string(error);
}

LowbitCode lowbit_code_of(const Encoding& encoding) {
  if (is_fused(encoding)) return lowbit_code_of(one_matrix(encoding));
  if (const Float8Parameters* float8 = float8_parameters(encoding)) {
    return float8->spec.float8_dtype == DType::Float8E5M2 ? LowbitCode::E5m2
                                                          : LowbitCode::E4m3;
  }
  const auto* compressed = dynamic_cast<const CompressedEncoding*>(&encoding);
  return compressed != nullptr && compressed->spec().floating
             ? LowbitCode::E4m3
             : LowbitCode::Integer;
}

bool has_lowbit_offsets(const Encoding& encoding) {
  if (is_fused(encoding)) return has_lowbit_offsets(one_matrix(encoding));
  return int4_parameters(encoding) || tile_packed_parameters(encoding);
}

LowbitGrid lowbit_grid_of(const Encoding& encoding,
                          const LowbitLayout& layout,
                          std::span<const ConstTensorView> fields) {
  if (is_fused(encoding)) return fused_grid(encoding, layout, fields);
  if (lowbit_code_of(encoding) != LowbitCode::Integer) {
    return float8_grid(encoding, layout, fields);
  }
  const auto of_rows = [&](HostTensor stored) {
    return scales_of_rows(
        encoding, std::move(stored), {layout.n, layout.groups()});
  };
  if (const auto* compressed =
          dynamic_cast<const CompressedEncoding*>(&encoding)) {
    return {compressed->codes(fields),
            of_rows(copied(fields[CompressedFields::kScale])),
            compressed->spec().symmetric
                ? HostTensor()
                : of_rows(compressed->zero_points(fields))};
  }
  if (int4_parameters(encoding)) {
    return {int4_codes(fields[kInt4Qdata]),
            int4_exchanged(fields[kInt4Scale]),
            HostTensor(),
            int4_exchanged(fields[kInt4ZeroPoint])};
  }
  if (const auto tiles = tile_packed_parameters(encoding)) {
    TilePackedGrid grid = tile_packed_grid(tiles->layout, fields);
    return {std::move(grid.codes),
            std::move(grid.scale),
            HostTensor(),
            std::move(grid.zero)};
  }
  if (const GgufGrid* gguf = gguf_grid(encoding)) {
    return gguf_grid_of(*gguf, fields);
  }
  return {
      HostTensor(),
      of_rows(copied(fields[1])),
      has_integer_zeros(encoding) ? of_rows(copied(fields[2])) : HostTensor()};
}

ConstTensorView codes_of(const LowbitGrid& grid,
                         std::span<const ConstTensorView> fields) {
  return grid.codes.data() == nullptr ? fields[0] : grid.codes.view();
}

std::vector<HostTensor> lowbit_kept_fields(
    const Encoding& encoding, std::span<const ConstTensorView> fields) {
  if (is_fused(encoding)) return fused_kept_fields(encoding, fields);
  if (const auto tiles = tile_packed_parameters(encoding)) {
    return tile_packed_padding(tiles->layout, fields);
  }
  std::vector<HostTensor> out;
  std::size_t first = fields.size();
  if (const auto* compressed =
          dynamic_cast<const CompressedEncoding*>(&encoding)) {
    const CompressedFields at = compressed->field_indices();
    first = at.shape != 0 ? at.shape : at.inputs;
  } else if (dynamic_cast<const AffineEncoding*>(&encoding) != nullptr) {
    first = has_integer_zeros(encoding) ? 3 : 2;
  }
  for (std::size_t i = first; i < fields.size(); ++i) {
    out.push_back(copied(fields[i]));
  }
  return out;
}

std::vector<HostTensor> lowbit_stored_fields(const Encoding& encoding,
                                             LowbitGrid grid,
                                             std::vector<HostTensor> kept) {
  if (is_fused(encoding)) {
    return fused_stored_fields(encoding, grid, std::move(kept));
  }
  std::vector<HostTensor> out;
  if (int4_parameters(encoding)) {
    out.push_back(int4_qdata(grid.codes.view()));
    out.push_back(int4_exchanged(grid.scale.view()));
    out.push_back(int4_exchanged(grid.offset.view()));
    return out;
  }
  if (const GgufGrid* gguf = gguf_grid(encoding)) {
    return gguf_stored_fields(*gguf, std::move(grid));
  }
  const std::vector<FieldLayout> layouts = encoding.fields();
  if (const auto tiles = tile_packed_parameters(encoding)) {
    const Shape shapes[] = {layouts[0].shape, layouts[1].shape};
    return tile_packed_fields(
        tiles->layout, {grid.codes, grid.scale, grid.offset}, kept, shapes);
  }
  if (lowbit_code_of(encoding) != LowbitCode::Integer) {
    grid.codes = with_flipped_signs(grid.codes.view(), layouts[0].dtype);
  }
  // Zero points lie as scales do.
  grid.scale = stored_scales(encoding, std::move(grid.scale), layouts[1].shape);
  grid.zero = stored_scales(encoding, std::move(grid.zero), layouts[1].shape);
  if (const auto* compressed =
          dynamic_cast<const CompressedEncoding*>(&encoding)) {
    out = compressed->assemble(
        grid.codes.view(), grid.scale.view(), grid.zero.view());
    // What the runtime layout has no place for stands at the end.
    std::ranges::move(kept,
                      out.end() - static_cast<std::ptrdiff_t>(kept.size()));
    return out;
  }
  out.push_back(std::move(grid.codes));
  out.push_back(std::move(grid.scale));
  if (has_integer_zeros(encoding)) out.push_back(std::move(grid.zero));
  std::ranges::move(kept, std::back_inserter(out));
  return out;
}

}  // namespace mantissa
