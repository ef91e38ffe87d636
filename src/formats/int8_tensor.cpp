#include "formats/int8_tensor.h"

#include <array>
#include <string>
#include <utility>

#include <fmt/format.h>

#include <mantissa/core/error.h>

#include "formats/act_pre_scale.h"
#include "formats/affine_encoder.h"
#include "formats/affine_encoding.h"
#include "formats/attributes.h"
#include "formats/fields.h"

namespace mantissa {
namespace {

constexpr std::string_view kName = "Int8Tensor";
constexpr std::string_view kKwargs = "QuantizeTensorToInt8Kwargs";
constexpr float kEps = 0x1p-23f;  // epsilon of float32, for every dtype

// Fields after qdata, scale and zero_point, in torchao's order.
constexpr std::array<std::string_view, 3> kExtra = {
    "act_quant_scale", "act_quant_zero_point", "act_pre_scale"};

IntegerRange code_range(bool reduced) {
  return reduced ? IntegerRange{-64, 63} : IntegerRange{-128, 127};
}

/// Attributes, and what an encoder needs beside the layout.
struct Int8Parts {
  MappingType mapping_type = MappingType::Symmetric;
  bool reduce_range = false;
  std::optional<QuantizeTensorToInt8Kwargs> act_quant_kwargs;
  std::vector<HostTensor> extra;  ///< values of layout.extra, when known
};

// Writes the fields that no weight decides together with the first rows.
class WithExtraFields final : public Encoder {
 public:
  WithExtraFields(std::unique_ptr<Encoder> inner, std::vector<HostTensor> extra)
      : inner_(std::move(inner)), extra_(std::move(extra)) {}

  std::int64_t row_multiple() const override { return inner_->row_multiple(); }
  bool wants_pass() const override { return inner_->wants_pass(); }
  void observe(const RowBlock& block, ConstTensorView rows) override {
    inner_->observe(block, rows);
  }
  void end_pass() override { inner_->end_pass(); }
  void encode(const RowBlock& block,
              ConstTensorView rows,
              FieldSink& sink) const override {
    inner_->encode(block, rows, sink);
    if (block.matrix != 0 || block.row != 0) return;
    for (std::size_t i = 0; i < extra_.size(); ++i) {
      sink.write(kFirstExtra + i, 0, extra_[i].view().bytes());
    }
  }

 private:
  static constexpr std::size_t kFirstExtra = 3;

  std::unique_ptr<Encoder> inner_;
  std::vector<HostTensor> extra_;
};

class Int8Encoding final : public AffineEncoding {
 public:
  Int8Encoding(Shape shape, DType dtype, AffineLayout layout, Int8Parts parts)
      : AffineEncoding(std::move(shape), dtype, std::move(layout)),
        parts_(std::move(parts)) {}

  std::string_view format_name() const override { return kName; }
  std::size_t required_fields() const override { return 2; }
  std::string attributes_json() const override;
  std::unique_ptr<Encoder> make_encoder() const override;
  MappingType mapping() const override { return parts_.mapping_type; }
  const std::optional<QuantizeTensorToInt8Kwargs>& act_quant_kwargs() const {
    return parts_.act_quant_kwargs;
  }

 protected:
  std::shared_ptr<const Encoding> with(Shape shape,
                                       AffineLayout layout) const override {
    Int8Parts parts = parts_;
    parts.extra.clear();
    return std::make_shared<Int8Encoding>(
        std::move(shape), dtype(), std::move(layout), std::move(parts));
  }

 private:
  Int8Parts parts_;
};

std::string Int8Encoding::attributes_json() const {
  attributes::Json data = attributes::Json::object();
  data["act_quant_kwargs"] = nullptr;
  if (const auto& kwargs = parts_.act_quant_kwargs) {
    data["act_quant_kwargs"] = attributes::object(
        kKwargs,
        {{"granularity", attributes::granularity(kwargs->granularity)},
         {"mapping_type", attributes::enumerator(kwargs->mapping_type)},
         {"reduce_range", kwargs->reduce_range}});
  }
  data["reduce_range"] = parts_.reduce_range;
  data["block_size"] = layout().block_size;
  data["dtype"] = attributes::dtype(dtype());
  return attributes::dump(data);
}

std::unique_ptr<Encoder> Int8Encoding::make_encoder() const {
  if (parts_.extra.size() != layout().extra.size()) {
    throw Error(ErrorKind::Usage,
                fmt::format("{}: encode: {} comes from a calibration, not from "
                            "a weight; give it in Int8Spec",
                            kName,
                            layout().extra.front().name));
  }
  if (!layout().zero_point_dtype || layout().scale_dtype != DType::Float32) {
    throw Error(ErrorKind::Usage,
                fmt::format("{}: encode: this layout of torchao <= 0.17 is "
                            "read, not written; make a new encoding",
                            kName));
  }
  auto encoder = make_affine_encoder({kName,
                                      shape(),
                                      dtype(),
                                      blocks(),
                                      parts_.mapping_type,
                                      code_range(parts_.reduce_range),
                                      kEps,
                                      DType::Float32});
  if (parts_.extra.empty()) return encoder;
  return std::make_unique<WithExtraFields>(std::move(encoder), parts_.extra);
}

std::optional<QuantizeTensorToInt8Kwargs> read_kwargs(
    attributes::Reader& reader) {
  constexpr std::string_view kKey = "act_quant_kwargs";
  reader.ignore(kKey);
  if (!reader.has(kKey)) return std::nullopt;
  attributes::Reader fields = reader.object(kKey, kKwargs);
  QuantizeTensorToInt8Kwargs out;
  out.granularity = fields.granularity("granularity");
  if (fields.present("mapping_type")) {
    out.mapping_type = fields.enumerator<MappingType>("mapping_type");
  }
  if (fields.present("reduce_range")) {
    out.reduce_range = fields.boolean("reduce_range");
  }
  fields.finish();
  return out;
}

// Throws Error(Input) for a field that no activation can use.
void check_extra(const FieldLayout& field, std::int64_t k) {
  if (field.name == "act_pre_scale") {
    act_pre_scale::check(kName, field, k);
    return;
  }
  const bool zero = field.name == "act_quant_zero_point";
  const bool integer =
      field.dtype == DType::Int8 || field.dtype == DType::Int32;
  if (is_high_precision(field.dtype) || (zero && integer)) return;
  throw Error(ErrorKind::Input,
              fmt::format("{}: {}: expected a {} dtype, got {}",
                          kName,
                          field.name,
                          zero ? "float, int8 or int32" : "float",
                          name(field.dtype)));
}

[[noreturn]] void refuse_shape(const FieldLayout& field,
                               const std::string& expected) {
  throw Error(ErrorKind::Input,
              fmt::format("{}: {}: expected {}, got {}",
                          kName,
                          field.name,
                          expected,
                          to_string(field.shape)));
}

// A static activation has one scale, or one for each of its rows, and a zero
// point for each scale or none.
void check_activation(std::span<const FieldLayout> fields,
                      const std::optional<QuantizeTensorToInt8Kwargs>& kwargs) {
  const FieldLayout* scale = fields::find(fields, kExtra[0]);
  const FieldLayout* zero = fields::find(fields, kExtra[1]);
  if (scale != nullptr) {
    const bool one = numel(scale->shape) == 1;
    const bool rows = numel(scale->shape) > 0 && !scale->shape.empty() &&
                      scale->shape.back() == 1;
    const bool per_tensor =
        kwargs && std::holds_alternative<PerTensor>(kwargs->granularity);
    if (per_tensor && !one) refuse_shape(*scale, "one value (PerTensor)");
    if (!one && !rows) {
      refuse_shape(*scale, "one value or one for each row, [.., 1]");
    }
  }
  if (zero == nullptr) return;
  if (scale == nullptr) refuse_shape(*zero, "act_quant_scale beside it");
  if (zero->shape != scale->shape) {
    refuse_shape(*zero,
                 "the shape of act_quant_scale, " + to_string(scale->shape));
  }
}

}  // namespace

std::shared_ptr<const Encoding> make_int8_encoding(const Shape& shape,
                                                   DType dtype,
                                                   const Int8Spec& spec) {
  AffineLayout layout;
  layout.block_size = block_size(spec.granularity, shape);
  layout.range = code_range(spec.reduce_range);
  check_affine_weight(kName, shape, dtype, layout.block_size);
  Int8Parts parts{
      spec.mapping_type, spec.reduce_range, spec.act_quant_kwargs, {}};
  const std::optional<HostTensor>* values[] = {
      &spec.act_quant_scale, &spec.act_quant_zero_point, &spec.act_pre_scale};
  for (std::size_t i = 0; i < kExtra.size(); ++i) {
    if (!*values[i]) continue;
    const HostTensor& value = **values[i];
    layout.extra.push_back(
        {std::string(kExtra[i]), value.dtype(), value.shape()});
    check_extra(layout.extra.back(), shape.back());
    parts.extra.push_back(value);
  }
  check_activation(layout.extra, parts.act_quant_kwargs);
  return std::make_shared<Int8Encoding>(
      shape, dtype, std::move(layout), std::move(parts));
}

const QuantizeTensorToInt8Kwargs* int8_activation(const Encoding& encoding) {
  const auto* int8 = dynamic_cast<const Int8Encoding*>(&encoding);
  return int8 == nullptr || !int8->act_quant_kwargs()
             ? nullptr
             : &*int8->act_quant_kwargs();
}

std::shared_ptr<const Encoding> parse_int8_tensor(
    std::string_view attributes, std::span<const FieldLayout> fields) {
  attributes::Reader reader(kName, attributes);
  const Shape block = reader.integers("block_size");
  const DType dtype = reader.dtype("dtype");
  Int8Parts parts;
  parts.act_quant_kwargs = read_kwargs(reader);
  reader.ignore("reduce_range");
  if (reader.has("reduce_range")) {
    parts.reduce_range = reader.boolean("reduce_range");
  }
  reader.finish();
  fields::check_names(
      kName,
      fields,
      {"qdata", "scale", "zero_point", kExtra[0], kExtra[1], kExtra[2]});
  AffineLayout layout = parse_affine_layout(
      kName, block, dtype, ZeroPointKind::OptionalInt8, fields);
  layout.range = code_range(parts.reduce_range);
  const Shape shape = fields::require(kName, fields, "qdata").shape;
  for (const std::string_view name : kExtra) {
    const FieldLayout* field = fields::find(fields, name);
    if (field == nullptr) continue;
    check_extra(*field, shape.back());
    layout.extra.push_back(*field);
  }
  check_activation(layout.extra, parts.act_quant_kwargs);
  return std::make_shared<Int8Encoding>(
      shape, dtype, std::move(layout), std::move(parts));
}

}  // namespace mantissa
