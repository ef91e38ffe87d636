#include "formats/float8_tensor.h"

#include <algorithm>
#include <string>
#include <vector>

#include <fmt/format.h>

#include <mantissa/core/error.h>
#include <mantissa/primitives/float8.h>

#include "formats/dense_slice.h"
#include "formats/fields.h"

namespace mantissa {
namespace {

constexpr std::string_view kName = "Float8Tensor";

enum Field : std::size_t { kQdata, kScale };

bool is_weight_dtype(DType dtype) {
  return dtype == DType::Float32 || dtype == DType::BFloat16 ||
         dtype == DType::Float16;
}

bool is_float8(DType dtype) {
  return dispatch_float8(dtype, []<class Format>() {});
}

// Element i of qdata is one byte at i; scale[b] belongs to block b:
//
//   qdata [N, K]      one float8 code each
//   scale [N, K]/block one little-endian float32 each
class Float8Encoding final : public Encoding {
 public:
  Float8Encoding(DType dtype, Float8Parameters parameters)
      : Encoding(parameters.grid.shape, dtype),
        parameters_(std::move(parameters)) {}

  const Float8Parameters& parameters() const { return parameters_; }

  std::string_view format_name() const override { return kName; }
  std::vector<FieldLayout> fields() const override {
    return {{"qdata", parameters_.spec.float8_dtype, shape()},
            {"scale", DType::Float32, parameters_.grid.grid}};
  }
  std::string attributes_json() const override {
    return float8_attributes(parameters_, dtype());
  }
  std::unique_ptr<Encoder> make_encoder() const override {
    return make_float8_encoder(parameters_, dtype());
  }
  HostTensor decode(std::span<const ConstTensorView> fields) const override {
    return dequantize_affine_float8(fields[kQdata], fields[kScale], dtype());
  }
  EncodedTensor slice(std::span<const ConstTensorView> fields,
                      std::int64_t dim,
                      std::int64_t begin,
                      std::int64_t end) const override;
  EncodedTensor select(std::span<const ConstTensorView> fields,
                       std::int64_t index) const override;
  EncodedRows rows(const RowBlock& block) const override;
  std::int64_t row_unit() const override;
  std::int64_t pass_bytes() const override {
    return float8_pass_bytes(parameters_);
  }
  std::string check_values(
      std::span<const ConstTensorView> fields) const override;

 private:
  EncodedTensor with(Shape shape,
                     const Shape& block,
                     std::vector<HostTensor> fields) const {
    Float8Parameters parameters{make_row_grid(kName, shape, block),
                                parameters_.spec};
    return {std::make_shared<Float8Encoding>(dtype(), std::move(parameters)),
            std::move(fields)};
  }

  Float8Parameters parameters_;
};

EncodedTensor Float8Encoding::slice(std::span<const ConstTensorView> fields,
                                    std::int64_t dim,
                                    std::int64_t begin,
                                    std::int64_t end) const {
  fields::check_slice(kName, shape(), dim, begin, end);
  const auto d = static_cast<std::size_t>(dim);
  Shape block = parameters_.grid.block;
  Shape cut = shape();
  cut[d] = end - begin;
  std::vector<HostTensor> out;
  out.push_back(slice_dense(fields[kQdata], dim, begin, end));
  if (parameters_.grid.grid[d] == 1) {
    // One block along the cut: its scale holds for every part of it.
    block[d] = end - begin;
    out.push_back(fields::copied(fields[kScale]));
  } else if (begin % block[d] == 0 && end % block[d] == 0) {
    out.push_back(
        slice_dense(fields[kScale], dim, begin / block[d], end / block[d]));
  } else {
    throw Error(ErrorKind::Usage,
                fmt::format("{}: slice: [{}, {}) of dimension {} cuts a scale "
                            "block of {}; use multiples of {}",
                            kName,
                            begin,
                            end,
                            dim,
                            block[d],
                            block[d]));
  }
  return with(std::move(cut), block, std::move(out));
}

EncodedTensor Float8Encoding::select(std::span<const ConstTensorView> fields,
                                     std::int64_t index) const {
  fields::check_select(kName, shape(), index);
  const Shape& block = parameters_.grid.block;
  std::vector<HostTensor> out;
  out.push_back(fields::copied(select_dense(fields[kQdata], index)));
  out.push_back(fields::copied(select_dense(fields[kScale], index / block[0])));
  return with(Shape(shape().begin() + 1, shape().end()),
              Shape(block.begin() + 1, block.end()),
              std::move(out));
}

std::int64_t Float8Encoding::row_unit() const {
  const std::size_t rank = shape().size();
  if (rank < 2) return 1;
  // One block over all rows: its scale holds for every part of it.
  return parameters_.grid.grid[rank - 2] == 1
             ? 1
             : parameters_.grid.block[rank - 2];
}

EncodedRows Float8Encoding::rows(const RowBlock& block) const {
  fields::check_rows(kName, shape(), block, row_unit());
  const RowGrid& grid = parameters_.grid;
  const MatrixShape matrices = matrix_shape(shape());
  const std::size_t rank = shape().size();
  const std::int64_t height =
      rank < 2 ? 1 : std::min(grid.block[rank - 2], block.rows);
  const std::int64_t first = block.matrix * matrices.rows + block.row;
  return {
      with({block.rows, matrices.columns}, {height, grid.run}, {}).encoding,
      {fields::row_runs(
           parameters_.spec.float8_dtype, matrices.columns, first, block.rows),
       fields::row_runs(DType::Float32,
                        grid.runs,
                        grid.grid_row(first),
                        block.rows / height)}};
}

std::string Float8Encoding::check_values(
    std::span<const ConstTensorView> fields) const {
  std::string wrong = fields::describe_nonfinite("scale", fields[kScale]);
  if (wrong.empty()) {
    wrong = fields::describe_nonfinite("qdata", fields[kQdata]);
  }
  return wrong;
}

}  // namespace

std::shared_ptr<const Encoding> make_float8_encoding(Shape shape,
                                                     DType dtype,
                                                     const Float8Spec& spec) {
  if (!is_weight_dtype(dtype)) {
    throw Error(ErrorKind::Usage,
                fmt::format("{}: dtype: expected float32, bfloat16 or float16, "
                            "got {}",
                            kName,
                            name(dtype)));
  }
  if (!is_float8(spec.float8_dtype)) {
    throw Error(ErrorKind::Usage,
                fmt::format("{}: float8_dtype: expected float8_e4m3fn, "
                            "float8_e5m2 or their fnuz forms, got {}",
                            kName,
                            name(spec.float8_dtype)));
  }
  const Shape block = block_size(spec.granularity, shape);
  return std::make_shared<Float8Encoding>(
      dtype, Float8Parameters{make_row_grid(kName, shape, block), spec});
}

const Float8Parameters* float8_parameters(const Encoding& encoding) {
  const auto* float8 = dynamic_cast<const Float8Encoding*>(&encoding);
  return float8 == nullptr ? nullptr : &float8->parameters();
}

std::shared_ptr<const Encoding> parse_float8_tensor(
    std::string_view text, std::span<const FieldLayout> fields) {
  const Float8Attributes attributes = parse_float8_attributes(text);
  fields::check_names(kName, fields, {"qdata", "scale"});
  const FieldLayout& qdata = fields::require(kName, fields, "qdata");
  const FieldLayout& scale = fields::require(kName, fields, "scale");
  const auto refuse = [](std::string_view what,
                         std::string_view expected,
                         std::string_view found) {
    throw Error(
        ErrorKind::Input,
        fmt::format(
            "{}: {}: expected {}, got {}", kName, what, expected, found));
  };
  if (!is_float8(qdata.dtype)) {
    refuse("qdata", "a float8 dtype", name(qdata.dtype));
  }
  if (!is_weight_dtype(attributes.dtype)) {
    refuse("dtype", "float32, bfloat16 or float16", name(attributes.dtype));
  }
  Float8Parameters parameters{{}, attributes.spec};
  parameters.spec.float8_dtype = qdata.dtype;
  try {
    parameters.grid =
        attributes.block_size
            ? make_row_grid(kName, qdata.shape, *attributes.block_size)
            : row_grid_of_scale(kName, qdata.shape, scale.shape);
  } catch (const Error& error) {
    throw Error(ErrorKind::Input, error.what());
  }
  fields::check(kName, fields, {"scale", DType::Float32, parameters.grid.grid});
  return std::make_shared<Float8Encoding>(attributes.dtype,
                                          std::move(parameters));
}

}  // namespace mantissa
