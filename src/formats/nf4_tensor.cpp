#include "formats/nf4_tensor.h"

#include <cmath>
#include <numeric>
#include <string>
#include <vector>

#include <fmt/format.h>

#include <mantissa/core/error.h>
#include <mantissa/primitives/convert.h>
#include <mantissa/primitives/nf4.h>

#include "formats/attributes.h"
#include "formats/dense_slice.h"
#include "formats/fields.h"

namespace mantissa {
namespace {

constexpr std::string_view kName = "NF4Tensor";

enum Field : std::size_t { kData, kScalers, kFactor, kMean, kTable };

// What is wrong with a shape, dtype and spec, or nothing.
std::string refusal(const Shape& shape, DType dtype, const NF4Spec& spec) {
  if (shape.empty() || shape.size() > 2) {
    return "shape: expected 1 or 2 dimensions, got " + to_string(shape);
  }
  if (dtype != DType::Float32 && dtype != DType::BFloat16 &&
      dtype != DType::Float16) {
    return fmt::format("dtype: expected float32, bfloat16 or float16, got {}",
                       name(dtype));
  }
  const std::int64_t count = numel(shape);
  if (count == 0) return "shape: expected elements, got " + to_string(shape);
  if (spec.block_size < 1 || count % spec.block_size != 0 || count % 2 != 0) {
    return fmt::format(
        "block_size: expected a divisor of {} elements, an even number, got {}",
        count,
        spec.block_size);
  }
  if (spec.scaler_block_size < 1 ||
      count / spec.block_size % spec.scaler_block_size != 0) {
    return fmt::format(
        "scaler_block_size: expected a divisor of {} blocks, got {}",
        count / spec.block_size,
        spec.scaler_block_size);
  }
  return {};
}

// quantized_data, of the elements in row-major order:
//
//   byte i   bit 7 6 5 4      3 2 1 0
//            element 2i       element 2i + 1
class NF4Encoding final : public Encoding {
 public:
  NF4Encoding(Shape shape, DType dtype, const NF4Spec& spec)
      : Encoding(std::move(shape), dtype), spec_(spec) {}

  std::string_view format_name() const override { return kName; }
  std::vector<FieldLayout> fields() const override;
  std::string attributes_json() const override;
  std::unique_ptr<Encoder> make_encoder() const override {
    return make_nf4_encoder(shape(), dtype(), spec_);
  }
  HostTensor decode(std::span<const ConstTensorView> fields) const override;
  EncodedTensor slice(std::span<const ConstTensorView> fields,
                      std::int64_t dim,
                      std::int64_t begin,
                      std::int64_t end) const override;
  EncodedTensor select(std::span<const ConstTensorView> fields,
                       std::int64_t index) const override;
  EncodedRows rows(const RowBlock& block) const override;
  std::int64_t row_unit() const override;
  std::int64_t pass_bytes() const override {  // a scaler each, then factors
    const std::int64_t scalers = numel(shape()) / spec_.block_size;
    return (scalers + scalers / spec_.scaler_block_size) *
           std::int64_t{sizeof(float)};
  }
  std::string check_values(
      std::span<const ConstTensorView> fields) const override;

 private:
  NF4Spec spec_;
};

std::vector<FieldLayout> NF4Encoding::fields() const {
  const std::int64_t count = numel(shape());
  const std::int64_t blocks = count / spec_.block_size;
  return {{"quantized_data", DType::UInt8, {count / 2}},
          {"quantized_scalers", DType::Int8, {blocks}},
          {"quantization_factor", dtype(), {blocks / spec_.scaler_block_size}},
          {"scaler_mean", dtype(), {}},
          {"nf4", dtype(), {16}}};
}

std::string NF4Encoding::attributes_json() const {
  attributes::Json data = attributes::Json::object();
  data["block_size"] = spec_.block_size;
  data["scaler_block_size"] = spec_.scaler_block_size;
  data["shape"] = shape();
  data["dtype"] = attributes::dtype(dtype());
  return attributes::dump(data);
}

HostTensor NF4Encoding::decode(std::span<const ConstTensorView> fields) const {
  const HostTensor factor = converted(fields[kFactor], DType::Float32);
  const HostTensor mean = converted(fields[kMean], DType::Float32);
  const HostTensor table = converted(fields[kTable], DType::Float32);
  const auto* data = fields[kData].as<std::uint8_t>();
  const auto* scalers = fields[kScalers].as<std::int8_t>();
  HostTensor wide(DType::Float32, shape());
  float* out = wide.as<float>();
  const std::int64_t blocks = fields[kScalers].numel();
  for (std::int64_t b = 0; b < blocks; ++b) {
    const float scaler =
        nf4_scaler(scalers[b],
                   factor.as<float>()[b / spec_.scaler_block_size],
                   mean.as<float>()[0],
                   dtype());
    // converted() rounds the product to the dtype.
    for (std::int64_t i = b * spec_.block_size; i < (b + 1) * spec_.block_size;
         ++i) {
      const int code = i % 2 == 0 ? data[i / 2] >> 4 : data[i / 2] & 0xf;
      out[i] = table.as<float>()[code] * scaler;
    }
  }
  return converted(wide.view(), dtype());
}

// A part has the tensor's mean and table, and the scalers of whole scaler
// blocks.
EncodedTensor NF4Encoding::slice(std::span<const ConstTensorView> fields,
                                 std::int64_t dim,
                                 std::int64_t begin,
                                 std::int64_t end) const {
  fields::check_slice(kName, shape(), dim, begin, end);
  const std::int64_t unit = spec_.block_size * spec_.scaler_block_size;
  const std::int64_t row =
      numel(shape()) == 0 ? 0 : numel(shape()) / shape()[0];
  const bool whole =
      begin == 0 && end == shape()[static_cast<std::size_t>(dim)];
  if (!whole &&
      (dim != 0 || begin * row % unit != 0 || end * row % unit != 0)) {
    throw Error(
        ErrorKind::Usage,
        fmt::format("{}: slice: [{}, {}) of dimension {} cuts a scaler block; "
                    "use multiples of {} rows, or decode first",
                    kName,
                    begin,
                    end,
                    dim,
                    row == 0 ? 1 : unit / std::gcd(unit, row)));
  }
  Shape cut = shape();
  std::int64_t first = 0;
  std::int64_t last = numel(shape());
  if (!whole) {
    cut[0] = end - begin;
    first = begin * row;
    last = end * row;
  }
  std::vector<HostTensor> out;
  out.push_back(slice_dense(fields[kData], 0, first / 2, last / 2));
  out.push_back(slice_dense(
      fields[kScalers], 0, first / spec_.block_size, last / spec_.block_size));
  out.push_back(slice_dense(fields[kFactor], 0, first / unit, last / unit));
  out.push_back(fields::copied(fields[kMean]));
  out.push_back(fields::copied(fields[kTable]));
  return {std::make_shared<NF4Encoding>(std::move(cut), dtype(), spec_),
          std::move(out)};
}

EncodedTensor NF4Encoding::select(std::span<const ConstTensorView>,
                                  std::int64_t index) const {
  fields::check_select(kName, shape(), index);
  throw Error(ErrorKind::Unexpected, "NF4Tensor: select: a 3-D tensor");
}

std::int64_t NF4Encoding::row_unit() const {
  const MatrixShape all = matrix_shape(shape());
  const std::int64_t unit = spec_.block_size * spec_.scaler_block_size;
  return unit / std::gcd(unit, all.columns);
}

EncodedRows NF4Encoding::rows(const RowBlock& block) const {
  fields::check_rows(kName, shape(), block, row_unit());
  const MatrixShape all = matrix_shape(shape());
  const std::int64_t unit = spec_.block_size * spec_.scaler_block_size;
  const std::int64_t first =
      (block.matrix * all.rows + block.row) * all.columns;
  const std::int64_t count = block.rows * all.columns;
  if (first % unit != 0 || count % unit != 0) {
    throw Error(ErrorKind::Usage,
                fmt::format("{}: rows: matrices of {} cut a scaler block of {} "
                            "elements; decode the whole tensor",
                            kName,
                            to_string(shape()),
                            unit));
  }
  return {std::make_shared<NF4Encoding>(
              Shape{block.rows, all.columns}, dtype(), spec_),
          {{first / 2, count / 2},
           {first / spec_.block_size, count / spec_.block_size},
           fields::row_runs(dtype(), 1, first / unit, count / unit),
           fields::row_runs(dtype(), 1, 0, 1),
           fields::row_runs(dtype(), 16, 0, 1)}};
}

std::string NF4Encoding::check_values(
    std::span<const ConstTensorView> fields) const {
  // A factor is infinite where all scalers of its block are equal.
  const HostTensor factor = converted(fields[kFactor], DType::Float32);
  for (std::int64_t i = 0; i < factor.numel(); ++i) {
    if (!(factor.as<float>()[i] > 0.0f)) {
      return fields::element_name("quantization_factor", factor.shape(), i) +
             " is not positive";
    }
  }
  std::string wrong = fields::describe_nonfinite("scaler_mean", fields[kMean]);
  if (wrong.empty()) {
    wrong = fields::describe_nonfinite("nf4", fields[kTable]);
  }
  return wrong;
}

}  // namespace

std::shared_ptr<const Encoding> make_nf4_encoding(Shape shape,
                                                  DType dtype,
                                                  const NF4Spec& spec) {
  const std::string reason = refusal(shape, dtype, spec);
  if (!reason.empty()) {
    throw Error(ErrorKind::Usage, fmt::format("{}: {}", kName, reason));
  }
  return std::make_shared<NF4Encoding>(std::move(shape), dtype, spec);
}

std::shared_ptr<const Encoding> parse_nf4_tensor(
    std::string_view text, std::span<const FieldLayout> fields) {
  attributes::Reader reader(kName, text);
  const NF4Spec spec{reader.integer("block_size"),
                     reader.integer("scaler_block_size")};
  const Shape shape = reader.integers("shape");
  const DType dtype = reader.dtype("dtype");
  reader.finish();
  for (const std::int64_t extent : shape) {
    if (extent < 0) reader.refuse("shape", "extents of at least 0");
  }
  const std::string reason = refusal(shape, dtype, spec);
  if (!reason.empty()) {
    throw Error(ErrorKind::Input, fmt::format("{}: {}", kName, reason));
  }
  auto encoding = std::make_shared<NF4Encoding>(shape, dtype, spec);
  fields::check_names(kName,
                      fields,
                      {"quantized_data",
                       "quantized_scalers",
                       "quantization_factor",
                       "scaler_mean",
                       "nf4"});
  for (const FieldLayout& field : encoding->fields()) {
    fields::check(kName, fields, field);
  }
  return encoding;
}

}  // namespace mantissa
