#include "formats/int4_tile_packed_to_4d_tensor.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>

#include <mantissa/core/error.h>

#include "formats/act_pre_scale.h"
#include "formats/attributes.h"
#include "formats/dense_slice.h"
#include "formats/fields.h"
#include "formats/int4_tile_packed_layout.h"
#include "kernels/common/tinygemm_tiles.h"
#include "primitives/int4_decode.h"

namespace mantissa {
namespace {

using kernels::kTileRows;

constexpr std::string_view kName = "Int4TilePackedTo4dTensor";

enum Field : std::size_t { kQdata, kScaleAndZero, kActPreScale };

std::int64_t round_up(std::int64_t value, std::int64_t unit) {
  return (value + unit - 1) / unit * unit;
}

// What is wrong with a shape, a dtype and a spec in any file, or nothing.
std::string refusal(const Shape& shape,
                    DType dtype,
                    const Int4TilePackedSpec& spec) {
  if (shape.size() != 2 && shape.size() != 3) {
    return "shape: expected [N, K] or [E, N, K], got " + to_string(shape);
  }
  if (dtype != DType::BFloat16) {
    return fmt::format("dtype: expected bfloat16, got {}; cast the weight",
                       name(dtype));
  }
  const bool known = spec.group_size == 32 || spec.group_size == 64 ||
                     spec.group_size == 128 || spec.group_size == 256;
  if (!known) {
    return fmt::format("group_size: expected 32, 64, 128 or 256, got {}",
                       spec.group_size);
  }
  if (spec.ntile != 8 && spec.ntile != 16) {
    return fmt::format("ntile: expected 8 or 16, got {}", spec.ntile);
  }
  constexpr std::int64_t kMost = std::int64_t{1} << 60;  // room for padding
  if (std::max(shape.back(), shape[shape.size() - 2]) > kMost) {
    return "shape: too large, got " + to_string(shape);
  }
  return {};
}

// The codes of one matrix, a byte each, [N', K'].
std::vector<std::uint8_t> unpacked(const TilePackedLayout& layout,
                                   const std::uint32_t* words) {
  const std::int64_t width = layout.padded_columns;
  std::vector<std::uint8_t> codes(
      static_cast<std::size_t>(layout.padded_rows * width));
  for (std::int64_t row = 0; row < layout.padded_rows; row += kTileRows) {
    kernels::unpack_tinygemm_tile_row(words + row / kTileRows * width,
                                      width,
                                      kTileInnerKTiles,
                                      codes.data() + row * width);
  }
  return codes;
}

class TilePackedEncoding final : public Encoding {
 public:
  TilePackedEncoding(Shape shape,
                     const Int4TilePackedSpec& spec,
                     std::optional<FieldLayout> act_pre_scale)
      : Encoding(std::move(shape), DType::BFloat16),
        spec_(spec),
        act_pre_scale_(std::move(act_pre_scale)) {}

  std::string_view format_name() const override { return kName; }
  std::vector<FieldLayout> fields() const override;
  std::size_t required_fields() const override { return 2; }
  std::string attributes_json() const override;
  std::unique_ptr<Encoder> make_encoder() const override;
  HostTensor decode(std::span<const ConstTensorView> fields) const override;
  EncodedTensor slice(std::span<const ConstTensorView> fields,
                      std::int64_t dim,
                      std::int64_t begin,
                      std::int64_t end) const override;
  EncodedTensor select(std::span<const ConstTensorView> fields,
                       std::int64_t index) const override;
  EncodedRows rows(const RowBlock& block) const override;
  std::int64_t row_unit() const override;
  std::int64_t pass_bytes() const override {
    return tile_packed_pass_bytes(layout(), spec_.algorithm);
  }
  std::string check_values(
      std::span<const ConstTensorView> fields) const override;

  TilePackedLayout layout() const {
    const MatrixShape matrices = matrix_shape(shape());
    return {matrices.matrices,
            matrices.rows,
            matrices.columns,
            round_up(matrices.rows, spec_.ntile),
            round_up(matrices.columns, kTileKMultiple),
            spec_.group_size};
  }

 private:
  // The same format with other extents; `fields` become its fields.
  EncodedTensor with(Shape shape, std::vector<HostTensor> fields) const;
  // The window of rows and columns of every matrix, packed anew.
  EncodedTensor repacked(std::span<const ConstTensorView> fields,
                         std::int64_t first_row,
                         std::int64_t first_column,
                         Shape cut_shape) const;

  Int4TilePackedSpec spec_;
  std::optional<FieldLayout> act_pre_scale_;
};

std::vector<FieldLayout> TilePackedEncoding::fields() const {
  const TilePackedLayout extents = layout();
  Shape qdata(shape().begin(), shape().end() - 2);
  Shape scale_and_zero = qdata;
  qdata.insert(qdata.end(),
               {extents.padded_rows / kTileRows,
                extents.padded_columns / kTileColumns,
                32,
                kTileInnerKTiles / 2});
  scale_and_zero.insert(scale_and_zero.end(),
                        {extents.groups(), extents.padded_rows, 2});
  std::vector<FieldLayout> fields = {
      {"qdata", DType::Int32, qdata},
      {"scale_and_zero", DType::BFloat16, scale_and_zero}};
  if (act_pre_scale_) fields.push_back(*act_pre_scale_);
  return fields;
}

std::string TilePackedEncoding::attributes_json() const {
  attributes::Json data = attributes::Json::object();
  data["block_size"] = fields::group_block(shape().size(), spec_.group_size);
  data["shape"] = shape();
  return attributes::dump(data);
}

std::unique_ptr<Encoder> TilePackedEncoding::make_encoder() const {
  if (act_pre_scale_) {
    throw Error(ErrorKind::Usage,
                fmt::format("{}: encode: act_pre_scale comes from calibration, "
                            "not from a weight; encode without it",
                            kName));
  }
  return make_tile_packed_encoder(shape(), layout(), spec_.algorithm);
}

HostTensor TilePackedEncoding::decode(
    std::span<const ConstTensorView> fields) const {
  HostTensor out(dtype(), shape());
  const TilePackedLayout at = layout();
  const auto* words = fields[kQdata].as<std::uint32_t>();
  const auto* parameters = fields[kScaleAndZero].as<ScaleAndZero>();
  auto* value = out.as<std::uint16_t>();
  std::vector<std::uint8_t> tile(
      static_cast<std::size_t>(kTileRows * at.padded_columns));
  std::uint16_t table[16];
  for (std::int64_t row = 0; row < at.matrices * at.rows; ++row) {
    const std::int64_t matrix = row / at.rows;
    const std::int64_t r = row % at.rows;
    if (r % kTileRows == 0) {
      const std::int64_t first = (matrix * at.padded_rows + r) / kTileRows;
      kernels::unpack_tinygemm_tile_row(words + first * at.padded_columns,
                                        at.padded_columns,
                                        kTileInnerKTiles,
                                        tile.data());
    }
    const std::uint8_t* codes = tile.data() + r % kTileRows * at.padded_columns;
    for (std::int64_t k = 0; k < at.columns; ++k) {
      if (k % at.group_size == 0) {
        const std::int64_t group = matrix * at.groups() + k / at.group_size;
        const ScaleAndZero& p = parameters[group * at.padded_rows + r];
        int4_values(dtype(),
                    bfloat16_to_float(p.scale),
                    bfloat16_to_float(p.zero),
                    table);
      }
      *value++ = table[codes[k]];
    }
  }
  return out;
}

EncodedTensor TilePackedEncoding::with(Shape shape,
                                       std::vector<HostTensor> fields) const {
  std::optional<FieldLayout> act_pre_scale = act_pre_scale_;
  if (act_pre_scale) act_pre_scale->shape = fields[kActPreScale].shape();
  return {std::make_shared<TilePackedEncoding>(
              std::move(shape), spec_, std::move(act_pre_scale)),
          std::move(fields)};
}

EncodedTensor TilePackedEncoding::repacked(
    std::span<const ConstTensorView> fields,
    std::int64_t first_row,
    std::int64_t first_column,
    Shape cut_shape) const {
  const TilePackedLayout from = layout();
  const TilePackedEncoding cut(cut_shape, spec_, std::nullopt);
  const TilePackedLayout to = cut.layout();
  HostTensor qdata(DType::Int32, cut.fields()[kQdata].shape);
  HostTensor scales(DType::BFloat16, cut.fields()[kScaleAndZero].shape);
  auto* words = qdata.as<std::uint32_t>();
  auto* parameters = scales.as<ScaleAndZero>();
  std::fill_n(parameters,
              to.matrices * to.groups() * to.padded_rows,
              tile_padding(spec_.algorithm));
  // A last group that K does not fill keeps its codes of zeros.
  const std::int64_t width = to.used_groups() * to.group_size;
  const std::int64_t first_group = first_column / from.group_size;
  for (std::int64_t m = 0; m < to.matrices; ++m) {
    const std::vector<std::uint8_t> codes =
        unpacked(from,
                 fields[kQdata].as<std::uint32_t>() +
                     m * from.qdata_bytes(from.padded_rows) / 4);
    std::vector<std::uint8_t> tile(
        static_cast<std::size_t>(kTileRows * to.padded_columns));
    for (std::int64_t r = 0; r < to.padded_rows; ++r) {
      std::uint8_t* row = tile.data() + r % kTileRows * to.padded_columns;
      std::fill_n(row, to.padded_columns, std::uint8_t{0});
      if (r < to.rows) {
        const std::int64_t source = first_row + r;
        std::copy_n(codes.data() + source * from.padded_columns + first_column,
                    width,
                    row);
        for (std::int64_t g = 0; g < to.used_groups(); ++g) {
          parameters[(m * to.groups() + g) * to.padded_rows + r] =
              fields[kScaleAndZero]
                  .as<ScaleAndZero>()[(m * from.groups() + first_group + g) *
                                          from.padded_rows +
                                      source];
        }
      }
      if (r % kTileRows == kTileRows - 1) {
        kernels::pack_tinygemm_tile_row(
            tile.data(), to.padded_columns, kTileInnerKTiles, words);
        words += to.padded_columns;
      }
    }
  }
  std::vector<HostTensor> out = {std::move(qdata), std::move(scales)};
  if (act_pre_scale_) {
    out.push_back(act_pre_scale::sliced(
        fields[kActPreScale], first_column, first_column + to.columns));
  }
  return with(std::move(cut_shape), std::move(out));
}

EncodedTensor TilePackedEncoding::slice(std::span<const ConstTensorView> fields,
                                        std::int64_t dim,
                                        std::int64_t begin,
                                        std::int64_t end) const {
  fields::check_slice(kName, shape(), dim, begin, end);
  const auto rank = static_cast<std::int64_t>(shape().size());
  Shape cut_shape = shape();
  cut_shape[static_cast<std::size_t>(dim)] = end - begin;
  if (dim < rank - 2) {
    std::vector<HostTensor> cut;
    for (const Field field : {kQdata, kScaleAndZero}) {
      cut.push_back(slice_dense(fields[field], dim, begin, end));
    }
    if (act_pre_scale_) cut.push_back(fields::copied(fields[kActPreScale]));
    return with(std::move(cut_shape), std::move(cut));
  }
  const std::int64_t g = spec_.group_size;
  const bool columns = dim == rank - 1;
  if (columns && begin < end &&
      (begin % g != 0 || (end % g != 0 && end != shape().back()))) {
    throw Error(ErrorKind::Usage,
                fmt::format("{}: slice: [{}, {}) of dimension {} cuts a group "
                            "of {}; use multiples of {}",
                            kName,
                            begin,
                            end,
                            dim,
                            g,
                            g));
  }
  return repacked(
      fields, columns ? 0 : begin, columns ? begin : 0, std::move(cut_shape));
}

EncodedTensor TilePackedEncoding::select(
    std::span<const ConstTensorView> fields, std::int64_t index) const {
  fields::check_select(kName, shape(), index);
  std::vector<HostTensor> cut;
  for (const Field field : {kQdata, kScaleAndZero}) {
    cut.push_back(fields::copied(select_dense(fields[field], index)));
  }
  if (act_pre_scale_) cut.push_back(fields::copied(fields[kActPreScale]));
  return with(Shape(shape().begin() + 1, shape().end()), std::move(cut));
}

std::int64_t TilePackedEncoding::row_unit() const { return spec_.ntile; }

EncodedRows TilePackedEncoding::rows(const RowBlock& block) const {
  fields::check_rows(kName, shape(), block, row_unit());
  const TilePackedLayout at = layout();
  // The last block of a matrix takes its padding along.
  const std::int64_t n = round_up(block.rows, spec_.ntile);
  constexpr auto kBytes = static_cast<std::int64_t>(sizeof(ScaleAndZero));
  EncodedRows out{
      std::make_shared<TilePackedEncoding>(
          Shape{block.rows, at.columns}, spec_, act_pre_scale_),
      {{at.qdata_bytes(block.matrix * at.padded_rows + block.row),
        at.qdata_bytes(n)},
       {(block.matrix * at.groups() * at.padded_rows + block.row) * kBytes,
        n * kBytes,
        at.groups(),
        at.padded_rows * kBytes}}};
  if (act_pre_scale_) out.fields.push_back(fields::all_of(*act_pre_scale_));
  return out;
}

std::string TilePackedEncoding::check_values(
    std::span<const ConstTensorView> fields) const {
  std::string wrong =
      fields::describe_nonfinite("scale_and_zero", fields[kScaleAndZero]);
  if (wrong.empty() && act_pre_scale_) {
    wrong = fields::describe_nonfinite("act_pre_scale", fields[kActPreScale]);
  }
  return wrong;
}

// N' of a file: 8 unless only 16 explains the tiles that are there.
std::int64_t stored_ntile(std::int64_t n, const Shape& qdata) {
  if (qdata.size() < 4) return 8;
  const std::int64_t rows = qdata[qdata.size() - 4] * kTileRows;
  return rows != round_up(n, 8) && rows == round_up(n, 16) ? 16 : 8;
}

}  // namespace

std::shared_ptr<const Encoding> make_int4_tile_packed_encoding(
    const Shape& shape, DType dtype, const Int4TilePackedSpec& spec) {
  std::string reason = refusal(shape, dtype, spec);
  if (reason.empty() && shape.back() % spec.group_size != 0) {
    reason = fmt::format("group_size: expected a divisor of K = {}, got {}",
                         shape.back(),
                         spec.group_size);
  }
  if (!reason.empty()) {
    throw Error(ErrorKind::Usage, fmt::format("{}: {}", kName, reason));
  }
  return std::make_shared<TilePackedEncoding>(shape, spec, std::nullopt);
}

std::shared_ptr<const Encoding> parse_int4_tile_packed(
    std::string_view attributes, std::span<const FieldLayout> fields) {
  attributes::Reader reader(kName, attributes);
  const Shape block = reader.integers("block_size");
  const Shape shape = reader.integers("shape");
  reader.finish();
  const std::int64_t group_size = block.empty() ? 0 : block.back();
  if (block.size() != shape.size() ||
      block != fields::group_block(block.size(), group_size)) {
    reader.refuse("block_size",
                  fmt::format("1s and a group size, one for each dimension of "
                              "{}",
                              to_string(shape)));
  }
  numel(shape);  // refuses negative extents and overflow
  Int4TilePackedSpec spec{.group_size = group_size};
  const std::string reason = refusal(shape, DType::BFloat16, spec);
  if (!reason.empty()) {
    throw Error(ErrorKind::Input, fmt::format("{}: {}", kName, reason));
  }
  spec.ntile = stored_ntile(shape[shape.size() - 2],
                            fields::require(kName, fields, "qdata").shape);
  std::optional<FieldLayout> act_pre_scale;
  if (const FieldLayout* field = fields::find(fields, "act_pre_scale")) {
    act_pre_scale::check(kName, *field, shape.back());
    act_pre_scale = *field;
  }
  auto encoding =
      std::make_shared<TilePackedEncoding>(shape, spec, act_pre_scale);
  for (const FieldLayout& field : encoding->fields()) {
    fields::check(kName, fields, field);
  }
  fields::check_names(
      kName, fields, {"qdata", "scale_and_zero", "act_pre_scale"});
  return encoding;
}

std::optional<TilePackedParameters> tile_packed_parameters(
    const Encoding& encoding) {
  const auto* tiles = dynamic_cast<const TilePackedEncoding*>(&encoding);
  if (tiles == nullptr) return std::nullopt;
  return TilePackedParameters{
      tiles->layout(), tiles->fields().size() > tiles->required_fields()};
}

}  // namespace mantissa
