#include "formats/intx_unpacked_to_int8_tensor.h"

#include <utility>

#include <fmt/format.h>

#include <mantissa/core/error.h>
#include <mantissa/primitives/affine.h>

#include "formats/affine_encoder.h"
#include "formats/affine_encoding.h"
#include "formats/attributes.h"
#include "formats/fields.h"

namespace mantissa {
namespace {

constexpr std::string_view kName = "IntxUnpackedToInt8Tensor";
constexpr std::string_view kPerToken = "int8_asym_per_token";

bool is_target(DType dtype) {
  return dtype == DType::Int8 || (dtype >= DType::Int1 && dtype <= DType::Int7);
}

/// Attributes, and what an encoder needs beside the layout.
struct IntxParts {
  DType target_dtype = DType::Int8;
  std::optional<std::string> activation_quantization;
  MappingType mapping_type = MappingType::Symmetric;
  IntxChooseQParamsAlgorithm algorithm = IntxChooseQParamsAlgorithm::Affine;
};

class IntxEncoding final : public AffineEncoding {
 public:
  IntxEncoding(Shape shape, DType dtype, AffineLayout layout, IntxParts parts)
      : AffineEncoding(std::move(shape), dtype, std::move(layout)),
        parts_(std::move(parts)) {}

  std::string_view format_name() const override { return kName; }
  std::string attributes_json() const override;
  std::unique_ptr<Encoder> make_encoder() const override;
  std::int64_t pass_bytes() const override {
    return parts_.algorithm == IntxChooseQParamsAlgorithm::Affine
               ? affine_pass_bytes(blocks())
               : hqq_scale_only_pass_bytes(blocks());
  }
  bool quantizes_activations() const {
    return parts_.activation_quantization.has_value();
  }
  MappingType mapping() const override {
    const bool affine = parts_.algorithm == IntxChooseQParamsAlgorithm::Affine;
    return affine ? parts_.mapping_type : MappingType::Symmetric;
  }

 protected:
  std::shared_ptr<const Encoding> with(Shape shape,
                                       AffineLayout layout) const override {
    return std::make_shared<IntxEncoding>(
        std::move(shape), dtype(), std::move(layout), parts_);
  }

 private:
  IntxParts parts_;
};

std::string IntxEncoding::attributes_json() const {
  attributes::Json data = attributes::Json::object();
  data["target_dtype"] = attributes::dtype(parts_.target_dtype);
  data["block_size"] = layout().block_size;
  data["dtype"] = attributes::dtype(dtype());
  data["activation_quantization"] = nullptr;
  if (parts_.activation_quantization) {
    data["activation_quantization"] = *parts_.activation_quantization;
  }
  return attributes::dump(data);
}

std::unique_ptr<Encoder> IntxEncoding::make_encoder() const {
  if (layout().zero_point_dtype != DType::Int8) {
    throw Error(ErrorKind::Usage,
                fmt::format("{}: encode: a floating zero point is read, not "
                            "written; make a new encoding",
                            kName));
  }
  AffineRule rule{kName,
                  shape(),
                  dtype(),
                  blocks(),
                  parts_.mapping_type,
                  layout().range,
                  smallest_normal(dtype()),
                  layout().scale_dtype};
  return parts_.algorithm == IntxChooseQParamsAlgorithm::Affine
             ? make_affine_encoder(std::move(rule))
             : make_hqq_scale_only_encoder(std::move(rule));
}

[[noreturn]] void refuse(const std::string& what) {
  throw Error(ErrorKind::Usage, fmt::format("{}: {}", kName, what));
}

// The weight [N, C, H, W] of a Conv2d: groups of channels, as torchao has it.
Shape conv2d_block(const Granularity& granularity, const Shape& shape) {
  const auto* group = std::get_if<PerGroup>(&granularity);
  return {1, group == nullptr ? shape[1] : group->group_size, 1, 1};
}

// torchao takes PerGroup and PerAxis(0), which means one scale a row there.
Shape block_of(const Granularity& granularity, const Shape& shape) {
  const bool axis = granularity == Granularity{PerAxis{0}};
  if (shape.size() == 4 &&
      (axis || std::holds_alternative<PerGroup>(granularity))) {
    return conv2d_block(granularity, shape);
  }
  if (std::holds_alternative<PerGroup>(granularity)) {
    return block_size(granularity, shape);
  }
  if (axis) return block_size(PerRow{}, shape);
  refuse("granularity: expected PerGroup or PerAxis(0), got " +
         to_string(granularity));
}

void check_spec(const IntxSpec& spec) {
  if (!is_target(spec.target_dtype)) {
    refuse(fmt::format("target_dtype: expected int1 to int8, got {}",
                       name(spec.target_dtype)));
  }
  if (spec.scale_dtype && *spec.scale_dtype != DType::Float32 &&
      *spec.scale_dtype != DType::BFloat16 &&
      *spec.scale_dtype != DType::Float16) {
    refuse(
        fmt::format("scale_dtype: expected float32, bfloat16 or float16, "
                    "got {}",
                    name(*spec.scale_dtype)));
  }
  if (spec.activation_quantization &&
      *spec.activation_quantization != kPerToken) {
    refuse(fmt::format("activation_quantization: expected '{}', got '{}'",
                       kPerToken,
                       *spec.activation_quantization));
  }
  if (spec.target_dtype == DType::Int1 &&
      spec.mapping_type == MappingType::SymmetricNoClippingErr &&
      spec.algorithm == IntxChooseQParamsAlgorithm::Affine) {
    refuse(
        "mapping_type: SYMMETRIC_NO_CLIPPING_ERR divides by the largest "
        "code, which is 0 for int1; use SYMMETRIC or ASYMMETRIC");
  }
}

}  // namespace

std::shared_ptr<const Encoding> make_intx_encoding(const Shape& shape,
                                                   DType dtype,
                                                   const IntxSpec& spec) {
  check_spec(spec);
  if (shape.size() == 4 &&
      spec.algorithm != IntxChooseQParamsAlgorithm::Affine) {
    refuse("algorithm: expected AFFINE for the weight of a Conv2d, got " +
           std::string(spelling(spec.algorithm).member));
  }
  AffineLayout layout;
  layout.block_size = block_of(spec.granularity, shape);
  layout.scale_dtype = spec.scale_dtype.value_or(dtype);
  layout.range = integer_range(spec.target_dtype);
  check_affine_weight(kName, shape, dtype, layout.block_size);
  return std::make_shared<IntxEncoding>(shape,
                                        dtype,
                                        std::move(layout),
                                        IntxParts{spec.target_dtype,
                                                  spec.activation_quantization,
                                                  spec.mapping_type,
                                                  spec.algorithm});
}

bool is_intx_with_activations(const Encoding& encoding) {
  const auto* intx = dynamic_cast<const IntxEncoding*>(&encoding);
  return intx != nullptr && intx->quantizes_activations();
}

std::shared_ptr<const Encoding> parse_intx_tensor(
    std::string_view attributes, std::span<const FieldLayout> fields) {
  attributes::Reader reader(kName, attributes);
  const Shape block = reader.integers("block_size");
  const DType dtype = reader.dtype("dtype");
  IntxParts parts;
  parts.target_dtype = reader.dtype("target_dtype");
  if (!is_target(parts.target_dtype)) {
    reader.refuse("target_dtype", "int1 to int8");
  }
  if (!reader.present("activation_quantization")) {
    reader.refuse("activation_quantization", "null or a string");
  }
  reader.ignore("activation_quantization");
  if (reader.has("activation_quantization")) {
    parts.activation_quantization = reader.text("activation_quantization");
    if (*parts.activation_quantization != kPerToken) {
      reader.refuse("activation_quantization",
                    fmt::format("null or \"{}\"", kPerToken));
    }
  }
  reader.finish();
  fields::check_names(kName, fields, {"qdata", "scale", "zero_point"});
  AffineLayout layout = parse_affine_layout(
      kName, block, dtype, ZeroPointKind::Int8OrFloat, fields);
  layout.range = integer_range(parts.target_dtype);
  const Shape shape = fields::require(kName, fields, "qdata").shape;
  return std::make_shared<IntxEncoding>(
      shape, dtype, std::move(layout), std::move(parts));
}

}  // namespace mantissa
