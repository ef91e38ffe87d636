#include "formats/gguf_tensor.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <mantissa/core/error.h>
#include <mantissa/primitives/float_casts.h>

#include "formats/attributes.h"
#include "formats/dense_slice.h"
#include "formats/fields.h"

namespace mantissa {
namespace {

constexpr std::string_view kName = "GgufTensor";

constexpr GgufGrid kGrids[] = {
    {"Q4_1", 4, 32, 32, true},
    {"Q5_1", 5, 32, 32, true},
    {"Q2_K", 2, 16, 256, true},
    {"Q3_K", 3, 16, 256, false},
    {"Q4_K", 4, 32, 256, true},
    {"Q5_K", 5, 32, 256, true},
    {"Q6_K", 6, 16, 256, false},
};

class GgufEncoding final : public Encoding {
 public:
  GgufEncoding(Shape shape, const GgufGrid& grid)
      : Encoding(std::move(shape), DType::Float32), grid_(grid) {}

  std::string_view format_name() const override { return kName; }
  std::vector<FieldLayout> fields() const override;
  std::string attributes_json() const override {
    attributes::Json data = attributes::Json::object();
    data["type"] = std::string(grid_.type);
    return attributes::dump(data);
  }
  std::unique_ptr<Encoder> make_encoder() const override {
    throw Error(
        ErrorKind::Usage,
        fmt::format("{}: it is made of GGUF blocks, not of values", kName));
  }
  HostTensor decode(std::span<const ConstTensorView> fields) const override;
  EncodedTensor slice(std::span<const ConstTensorView> fields,
                      std::int64_t dim,
                      std::int64_t begin,
                      std::int64_t end) const override;
  EncodedTensor select(std::span<const ConstTensorView>,
                       std::int64_t index) const override {
    fields::check_select(kName, shape(), index);
    throw Error(ErrorKind::Unexpected, "GgufTensor: select: a 3-D tensor");
  }
  EncodedRows rows(const RowBlock& block) const override;
  std::string check_values(
      std::span<const ConstTensorView> fields) const override;

  const GgufGrid& grid() const { return grid_; }

 private:
  const GgufGrid& grid_;  // of the table
};

std::vector<FieldLayout> GgufEncoding::fields() const {
  const Shape blocks = {shape()[0], shape()[1] / grid_.block};
  const Shape groups = {shape()[0], shape()[1] / grid_.group};
  std::vector<FieldLayout> out = {{"qdata", DType::Int8, shape()},
                                  {"scale", DType::Float16, blocks}};
  if (grid_.minima) out.push_back({"minimum", DType::Float16, blocks});
  if (!grid_.levels()) return out;
  out.push_back({"factor", DType::Int8, groups});
  if (grid_.minima) out.push_back({"minimum_factor", DType::Int8, groups});
  return out;
}

// The half float of a group times its factor.
float level(std::span<const ConstTensorView> fields,
            std::size_t half,
            std::size_t factor,
            std::int64_t block,
            std::int64_t group) {
  const float value = float16_to_float(fields[half].as<std::uint16_t>()[block]);
  return factor == 0
             ? value
             : value *
                   static_cast<float>(fields[factor].as<std::int8_t>()[group]);
}

HostTensor GgufEncoding::decode(std::span<const ConstTensorView> fields) const {
  HostTensor out(dtype(), shape());
  const GgufFields at = gguf_fields(grid_);
  const std::int8_t* codes = fields[GgufFields::kQdata].as<std::int8_t>();
  const int first = grid_.minima ? 1 << (grid_.bits - 1) : 0;
  float* to = out.as<float>();
  const std::int64_t groups = numel(shape()) / grid_.group;
  for (std::int64_t g = 0; g < groups; ++g) {
    const std::int64_t block = g * grid_.group / grid_.block;
    const float scale = level(fields, GgufFields::kScale, at.factor, block, g);
    const float minimum =
        grid_.minima ? level(fields, at.minimum, at.minimum_factor, block, g)
                     : 0.0f;
    for (std::int64_t i = g * grid_.group; i < (g + 1) * grid_.group; ++i) {
      const float value = static_cast<float>(codes[i] + first) * scale;
      to[i] = grid_.minima ? value + minimum : value;
    }
  }
  return out;
}

EncodedTensor GgufEncoding::slice(std::span<const ConstTensorView> fields,
                                  std::int64_t dim,
                                  std::int64_t begin,
                                  std::int64_t end) const {
  fields::check_slice(kName, shape(), dim, begin, end);
  if (dim == 1 && (begin % grid_.block != 0 || end % grid_.block != 0)) {
    throw Error(ErrorKind::Usage,
                fmt::format("{}: slice: [{}, {}) of dimension 1 cuts a block "
                            "of {}; decode first",
                            kName,
                            begin,
                            end,
                            grid_.block));
  }
  std::vector<HostTensor> out;
  for (const ConstTensorView& field : fields) {
    // Values of K that an element stands for.
    const std::int64_t each =
        dim == 0 ? 1 : shape()[1] / std::max<std::int64_t>(1, field.shape[1]);
    out.push_back(slice_dense(field, dim, begin / each, end / each));
  }
  Shape cut = shape();
  cut[static_cast<std::size_t>(dim)] = end - begin;
  return {make_gguf_encoding(std::move(cut), grid_), std::move(out)};
}

EncodedRows GgufEncoding::rows(const RowBlock& block) const {
  fields::check_rows(kName, shape(), block, row_unit());
  EncodedRows out{make_gguf_encoding({block.rows, shape()[1]}, grid_), {}};
  for (const FieldLayout& field : fields()) {
    out.fields.push_back(
        fields::row_runs(field.dtype, field.shape[1], block.row, block.rows));
  }
  return out;
}

std::string GgufEncoding::check_values(
    std::span<const ConstTensorView> fields) const {
  std::string wrong =
      fields::describe_nonfinite("scale", fields[GgufFields::kScale]);
  if (wrong.empty() && grid_.minima) {
    wrong = fields::describe_nonfinite("minimum",
                                       fields[gguf_fields(grid_).minimum]);
  }
  return wrong;
}

}  // namespace

const GgufGrid* find_gguf_grid(std::string_view type) {
  const auto* const grid = std::ranges::find(kGrids, type, &GgufGrid::type);
  return grid == std::end(kGrids) ? nullptr : grid;
}

GgufFields gguf_fields(const GgufGrid& grid) {
  GgufFields out;
  if (grid.minima) out.minimum = out.count++;
  if (!grid.levels()) return out;
  out.factor = out.count++;
  if (grid.minima) out.minimum_factor = out.count++;
  return out;
}

std::shared_ptr<const Encoding> make_gguf_encoding(Shape shape,
                                                   const GgufGrid& grid) {
  const GgufGrid* row = find_gguf_grid(grid.type);
  if (row == nullptr || shape.size() != 2 || shape[1] % row->block != 0) {
    throw Error(ErrorKind::Usage,
                fmt::format("{}: shape: expected [N, K] with K a multiple of "
                            "the block of {}, got {}",
                            kName,
                            grid.type,
                            to_string(shape)));
  }
  return std::make_shared<GgufEncoding>(std::move(shape), *row);
}

const GgufGrid* gguf_grid(const Encoding& encoding) {
  const auto* gguf = dynamic_cast<const GgufEncoding*>(&encoding);
  return gguf == nullptr ? nullptr : &gguf->grid();
}

}  // namespace mantissa
