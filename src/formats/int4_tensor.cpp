#include "formats/int4_tensor.h"

#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>

#include <mantissa/core/error.h>
#include <mantissa/primitives/float_casts.h>

#include "formats/act_pre_scale.h"
#include "formats/attributes.h"
#include "formats/dense_slice.h"
#include "formats/fields.h"
#include "formats/int4_tensor_encoder.h"
#include "kernels/common/nibbles.h"
#include "primitives/int4_decode.h"

namespace mantissa {
namespace {

constexpr std::string_view kName = "Int4Tensor";

float load(ConstTensorView field, std::int64_t index) {
  if (field.dtype == DType::Float32) return field.as<float>()[index];
  const std::uint16_t bits = field.as<std::uint16_t>()[index];
  return field.dtype == DType::BFloat16 ? bfloat16_to_float(bits)
                                        : float16_to_float(bits);
}

bool weight_dtype(DType dtype) {
  return dtype == DType::BFloat16 || dtype == DType::Float16 ||
         dtype == DType::Float32;
}

// What is wrong with a shape, dtype and spec, or nothing.
std::string refusal(const Shape& shape, DType dtype, const Int4Spec& spec) {
  if (shape.size() != 2 && shape.size() != 3) {
    return "shape: expected [N, K] or [E, N, K], got " + to_string(shape);
  }
  if (!weight_dtype(dtype)) {
    return fmt::format("dtype: expected bfloat16, float16 or float32, got {}",
                       name(dtype));
  }
  const std::int64_t k = shape.back();
  if (spec.group_size < 2 || k % spec.group_size != 0) {
    return fmt::format(
        "group_size: expected a divisor of K = {} above 1, got "
        "{}",
        k,
        spec.group_size);
  }
  if (k % 2 != 0) {
    return fmt::format("shape: expected an even K, got {}", to_string(shape));
  }
  if (spec.activation_dtype != DType::BFloat16 &&
      spec.activation_dtype != DType::Float8E4M3FN) {
    return fmt::format(
        "activation_dtype: expected bfloat16 or float8_e4m3fn, "
        "got {}",
        name(spec.activation_dtype));
  }
  return {};
}

class Int4Encoding final : public Encoding {
 public:
  Int4Encoding(Shape shape,
               DType dtype,
               const Int4Spec& spec,
               std::optional<FieldLayout> act_pre_scale)
      : Encoding(std::move(shape), dtype),
        spec_(spec),
        act_pre_scale_(std::move(act_pre_scale)) {}

  std::string_view format_name() const override { return kName; }
  std::vector<FieldLayout> fields() const override;
  std::size_t required_fields() const override { return 3; }
  const Int4Spec& spec() const { return spec_; }
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
  std::string check_values(
      std::span<const ConstTensorView> fields) const override;

  MatrixShape matrices() const { return matrix_shape(shape()); }
  std::int64_t groups() const { return shape().back() / spec_.group_size; }

 private:
  // The same format with other extents; `fields` become its fields.
  EncodedTensor with(Shape shape, std::vector<HostTensor> fields) const;

  Int4Spec spec_;
  std::optional<FieldLayout> act_pre_scale_;
};

std::vector<FieldLayout> Int4Encoding::fields() const {
  const std::int64_t n = shape()[shape().size() - 2];
  Shape qdata = shape();
  qdata.back() /= 2;
  Shape scale(shape().begin(), shape().end() - 2);
  scale.insert(scale.end(), {groups(), n});
  std::vector<FieldLayout> fields = {{"qdata", DType::Int8, qdata},
                                     {"scale", dtype(), scale},
                                     {"zero_point", dtype(), scale}};
  if (act_pre_scale_) fields.push_back(*act_pre_scale_);
  return fields;
}

std::string Int4Encoding::attributes_json() const {
  attributes::Json data = attributes::Json::object();
  data["activation_dtype"] = attributes::dtype(spec_.activation_dtype);
  data["block_size"] = fields::group_block(shape().size(), spec_.group_size);
  data["shape"] = shape();
  return attributes::dump(data);
}

std::unique_ptr<Encoder> Int4Encoding::make_encoder() const {
  if (act_pre_scale_) {
    throw Error(ErrorKind::Usage,
                "Int4Tensor: encode: act_pre_scale comes from calibration, "
                "not from a weight; encode without it");
  }
  return make_int4_encoder(shape(), dtype(), spec_);
}

// Where the groups of a row are in scale and zero_point.
struct RowGroups {
  std::int64_t first;
  std::int64_t stride;
  std::int64_t count;
  std::int64_t size;
};

// All codes of one row to values; `table` is refilled for each group.
template <class Element>
void decode_row(std::span<const ConstTensorView> fields,
                const std::uint8_t* codes,
                const RowGroups& groups,
                Element* out) {
  Element table[16];
  for (std::int64_t g = 0; g < groups.count; ++g) {
    const std::int64_t at = groups.first + g * groups.stride;
    int4_values(fields[kInt4Scale].dtype,
                load(fields[kInt4Scale], at),
                load(fields[kInt4ZeroPoint], at),
                table);
    for (std::int64_t i = 0; i < groups.size; ++i) *out++ = table[*codes++];
  }
}

HostTensor Int4Encoding::decode(std::span<const ConstTensorView> fields) const {
  HostTensor out(dtype(), shape());
  const auto [matrices, n, k] = this->matrices();
  std::vector<std::uint8_t> codes(static_cast<std::size_t>(k));
  for (std::int64_t row = 0; row < matrices * n; ++row) {
    kernels::unpack_nibbles<kInt4Order>(
        fields[kInt4Qdata].as<std::uint8_t>() + row * (k / 2),
        k,
        kernels::kOffsetBinary,
        codes.data());
    const RowGroups row_groups{
        row / n * groups() * n + row % n, n, groups(), spec_.group_size};
    const auto decode_as = [&](auto* values) {
      decode_row(fields, codes.data(), row_groups, values + row * k);
    };
    if (dtype() == DType::Float32) {
      decode_as(out.as<float>());
    } else {
      decode_as(out.as<std::uint16_t>());
    }
  }
  return out;
}

EncodedTensor Int4Encoding::with(Shape shape,
                                 std::vector<HostTensor> fields) const {
  std::optional<FieldLayout> act_pre_scale = act_pre_scale_;
  if (act_pre_scale) act_pre_scale->shape = fields[kInt4ActPreScale].shape();
  return {std::make_shared<Int4Encoding>(
              std::move(shape), dtype(), spec_, std::move(act_pre_scale)),
          std::move(fields)};
}

EncodedTensor Int4Encoding::slice(std::span<const ConstTensorView> fields,
                                  std::int64_t dim,
                                  std::int64_t begin,
                                  std::int64_t end) const {
  fields::check_slice(kName, shape(), dim, begin, end);
  const auto rank = static_cast<std::int64_t>(shape().size());
  const bool columns = dim == rank - 1;
  const std::int64_t g = spec_.group_size;
  if (columns && (begin % g != 0 || end % g != 0)) {
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
  // Rows of the weight are columns of scale and zero_point and vice versa.
  const std::int64_t scale_dim =
      columns ? rank - 2 : (dim == rank - 2 ? rank - 1 : dim);
  const std::int64_t scale_unit = columns ? g : 1;
  const std::int64_t byte_unit = columns ? 2 : 1;
  std::vector<HostTensor> cut;
  cut.push_back(
      slice_dense(fields[kInt4Qdata], dim, begin / byte_unit, end / byte_unit));
  for (const Int4Field field : {kInt4Scale, kInt4ZeroPoint}) {
    cut.push_back(slice_dense(
        fields[field], scale_dim, begin / scale_unit, end / scale_unit));
  }
  if (act_pre_scale_) {
    const ConstTensorView& field = fields[kInt4ActPreScale];
    cut.push_back(columns ? act_pre_scale::sliced(field, begin, end)
                          : fields::copied(field));
  }
  Shape cut_shape = shape();
  cut_shape[static_cast<std::size_t>(dim)] = end - begin;
  return with(std::move(cut_shape), std::move(cut));
}

EncodedTensor Int4Encoding::select(std::span<const ConstTensorView> fields,
                                   std::int64_t index) const {
  fields::check_select(kName, shape(), index);
  std::vector<HostTensor> cut;
  for (const Int4Field field : {kInt4Qdata, kInt4Scale, kInt4ZeroPoint}) {
    cut.push_back(fields::copied(select_dense(fields[field], index)));
  }
  if (act_pre_scale_) cut.push_back(fields::copied(fields[kInt4ActPreScale]));
  return with(Shape(shape().begin() + 1, shape().end()), std::move(cut));
}

EncodedRows Int4Encoding::rows(const RowBlock& block) const {
  fields::check_rows(kName, shape(), block, row_unit());
  const auto [matrices, n, k] = this->matrices();
  const std::int64_t bytes = byte_count(dtype(), {1});
  const FieldRuns groups_of_rows{
      (block.matrix * groups() * n + block.row) * bytes,
      block.rows * bytes,
      groups(),
      n * bytes};
  EncodedRows out{
      std::make_shared<Int4Encoding>(
          Shape{block.rows, k}, dtype(), spec_, act_pre_scale_),
      {fields::row_runs(
           DType::Int8, k / 2, block.matrix * n + block.row, block.rows),
       groups_of_rows,
       groups_of_rows}};
  if (act_pre_scale_) out.fields.push_back(fields::all_of(*act_pre_scale_));
  return out;
}

std::string Int4Encoding::check_values(
    std::span<const ConstTensorView> fields) const {
  const std::vector<FieldLayout> layouts = this->fields();
  for (std::size_t field = kInt4Scale; field < fields.size(); ++field) {
    std::string wrong =
        fields::describe_nonfinite(layouts[field].name, fields[field]);
    if (!wrong.empty()) return wrong;
  }
  return {};
}

}  // namespace

std::shared_ptr<const Encoding> make_int4_encoding(const Shape& shape,
                                                   DType dtype,
                                                   const Int4Spec& spec) {
  const std::string reason = refusal(shape, dtype, spec);
  if (!reason.empty()) {
    throw Error(ErrorKind::Usage, fmt::format("{}: {}", kName, reason));
  }
  return std::make_shared<Int4Encoding>(shape, dtype, spec, std::nullopt);
}

std::optional<Int4Parameters> int4_parameters(const Encoding& encoding) {
  const auto* int4 = dynamic_cast<const Int4Encoding*>(&encoding);
  if (int4 == nullptr) return std::nullopt;
  return Int4Parameters{int4->spec(),
                        int4->fields().size() > int4->required_fields()};
}

bool is_int4_with_float8_activations(const Encoding& encoding) {
  const auto int4 = int4_parameters(encoding);
  return int4 && int4->spec.activation_dtype == DType::Float8E4M3FN;
}

std::shared_ptr<const Encoding> parse_int4_tensor(
    std::string_view attributes, std::span<const FieldLayout> fields) {
  attributes::Reader reader(kName, attributes);
  const Shape block = reader.integers("block_size");
  const Shape shape = reader.integers("shape");
  Int4Spec spec{block.empty() ? 0 : block.back()};
  if (reader.has("activation_dtype")) {
    spec.activation_dtype = reader.dtype("activation_dtype");
  }
  reader.ignore("activation_dtype");
  reader.finish();
  if (block.empty() || block.size() != shape.size() ||
      block != fields::group_block(block.size(), spec.group_size)) {
    reader.refuse("block_size",
                  fmt::format("1s and a group size, one for each dimension of "
                              "{}",
                              to_string(shape)));
  }
  numel(shape);  // refuses negative extents and overflow
  const DType dtype = fields::require(kName, fields, "scale").dtype;
  const std::string reason = refusal(shape, dtype, spec);
  if (!reason.empty()) {
    throw Error(ErrorKind::Input, fmt::format("{}: {}", kName, reason));
  }
  std::optional<FieldLayout> act_pre_scale;
  if (const FieldLayout* field = fields::find(fields, "act_pre_scale")) {
    act_pre_scale::check(kName, *field, shape.back());
    act_pre_scale = *field;
  }
  auto encoding =
      std::make_shared<Int4Encoding>(shape, dtype, spec, act_pre_scale);
  for (const FieldLayout& field : encoding->fields()) {
    fields::check(kName, fields, field);
  }
  fields::check_names(
      kName, fields, {"qdata", "scale", "zero_point", "act_pre_scale"});
  return encoding;
}

}  // namespace mantissa
