#include <cmath>
#include <numeric>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <mantissa/core/error.h>
#include <mantissa/primitives/affine.h>

#include "formats/affine_encoding.h"
#include "formats/code_packing.h"
#include "formats/compressed_tensor.h"
#include "formats/fields.h"
#include "primitives/elements.h"

namespace mantissa {
namespace {

using Json = nlohmann::ordered_json;

// torchao's fields.
enum Field : std::size_t { kQdata, kScale, kZeroPoint };

// The inner encoder, with its fields repacked on the way out.
class RepackEncoder final : public Encoder {
 public:
  explicit RepackEncoder(const CompressedEncoding& to)
      : to_(to),
        inner_(to.inner()->make_encoder()),
        scale_dtype_(to.inner()->fields()[kScale].dtype) {}

  std::int64_t row_multiple() const override {
    return std::lcm(to_.row_unit(), inner_->row_multiple());
  }
  bool wants_pass() const override { return inner_->wants_pass(); }
  void observe(const RowBlock& block, ConstTensorView rows) override {
    inner_->observe(block, rows);
  }
  void end_pass() override { inner_->end_pass(); }
  void encode(const RowBlock& block,
              ConstTensorView rows,
              FieldSink& sink) const override {
    RepackSink repack(to_, scale_dtype_, sink);
    if (block.row == 0) repack.write_shape();
    inner_->encode(block, rows, repack);
  }

 private:
  const CompressedEncoding& to_;
  std::unique_ptr<Encoder> inner_;
  DType scale_dtype_;
};

RepackChoice refuse(std::string refusal, std::string remedy) {
  return {nullptr, std::move(refusal), std::move(remedy)};
}

constexpr const char* kRemedy =
    "--scheme makes what compressed-tensors holds; --format torchao keeps this "
    "config";

// Strategy and sizes of torchao's block size [rows, columns].
void set_blocks(const Shape& shape, const Shape& block, CompressedSpec& spec) {
  const bool rows = block[0] == 1;
  if (block == shape && shape[0] != 1) {
    spec.strategy = CompressedStrategy::Tensor;
  } else if (rows && block[1] == shape[1]) {
    spec.strategy = CompressedStrategy::Channel;
  } else if (rows) {
    spec.strategy = CompressedStrategy::Group;
    spec.group_size = block[1];
  } else {
    spec.strategy = CompressedStrategy::Block;
    spec.block_rows = block[0];
    spec.block_columns = block[1];
  }
}

Json token_args(const char* type, bool symmetric) {
  return {{"num_bits", 8},
          {"type", type},
          {"symmetric", symmetric},
          {"strategy", "token"},
          {"dynamic", true}};
}

// Dynamic activations of torchao's kwargs, or why there are none.
std::string set_activations(const Json& kwargs,
                            const char* type,
                            CompressedSpec& spec) {
  const Json& data = kwargs.at("_data");
  const std::string by = data.at("granularity").value("_type", "");
  const bool asymmetric =
      data.contains("mapping_type") &&
      data.at("mapping_type").value("_data", "") == "ASYMMETRIC";
  if (data.value("reduce_range", false)) {
    return "activations with a reduced range have no equivalent";
  }
  Json args = token_args(type, !asymmetric);
  if (by == "PerTensor") args["strategy"] = "tensor";
  if (by == "PerGroup" || by == "PerBlock") {
    const Json& sizes = data.at("granularity").at("_data");
    args["strategy"] = "group";
    args["group_size"] = by == "PerGroup" ? sizes.at("group_size")
                                          : sizes.at("block_size").back();
  }
  spec.input_activations = args.dump();
  return {};
}

// The spec of Int8Tensor and IntxUnpackedToInt8Tensor.
std::string affine_spec(const AffineEncoding& from,
                        const Json& attributes,
                        CompressedSpec& spec) {
  if (from.layout().zero_point_dtype.value_or(DType::Int8) != DType::Int8) {
    return "a floating zero point has no integer equivalent";
  }
  if (!from.layout().extra.empty()) {
    return "static activations have no equivalent without calibration";
  }
  spec.num_bits = 8;
  spec.scale_dtype = from.dtype();  // torchao's float32 scales are exact in it
  if (attributes.contains("target_dtype")) {
    const auto target =
        dtype_from_name(attributes["target_dtype"].value("_data", ""));
    spec.num_bits = bit_width(target.value_or(DType::Int8));
    spec.scale_dtype = from.layout().scale_dtype;
    if (!attributes["activation_quantization"].is_null()) {
      spec.input_activations = token_args("int", false).dump();
    }
  } else if (!attributes["act_quant_kwargs"].is_null()) {
    const std::string refusal =
        set_activations(attributes["act_quant_kwargs"], "int", spec);
    if (!refusal.empty()) return refusal;
  }
  const bool by_row = spec.strategy == CompressedStrategy::Channel ||
                      spec.strategy == CompressedStrategy::Tensor;
  if (spec.num_bits == 8 && by_row && !spec.input_activations.empty()) {
    spec.format = CompressedFormat::IntQuantized;
  } else if (spec.num_bits == 8 &&
             spec.strategy == CompressedStrategy::Tensor) {
    spec.format = CompressedFormat::NaiveQuantized;
  }
  return {};
}

std::string float8_spec(const Encoding& from,
                        const Json& attributes,
                        CompressedSpec& spec) {
  if (from.fields()[kQdata].dtype != DType::Float8E4M3FN) {
    return fmt::format("float8 codes are float8_e4m3fn, got {}",
                       name(from.fields()[kQdata].dtype));
  }
  spec.num_bits = 8;
  spec.floating = true;
  spec.scale_dtype = from.dtype();
  spec.format = CompressedFormat::NaiveQuantized;
  if (attributes["act_quant_kwargs"].is_null()) return {};
  spec.format = CompressedFormat::FloatQuantized;
  return set_activations(attributes["act_quant_kwargs"], "float", spec);
}

}  // namespace

void RepackSink::write(std::size_t field,
                       std::int64_t offset,
                       std::span<const std::byte> bytes) {
  if (bytes.empty()) return;
  switch (field) {
    case kQdata:
      return write_codes(offset, bytes);
    case kScale:
      return write_scales(offset, bytes);
    default:
      return write_zero_points(offset, bytes);
  }
}

void RepackSink::write_shape() {
  const std::size_t field = to_.field_indices().shape;
  if (field == 0) return;
  out_.write(
      field,
      0,
      weight_shape_field(to_.shape(), to_.spec().shape_dtype).view().bytes());
}

void RepackSink::write_codes(std::int64_t offset,
                             std::span<const std::byte> bytes) {
  if (!to_.packed()) {
    return out_.write(CompressedFields::kCodes, offset, bytes);
  }
  const std::int64_t k = to_.shape()[1];
  const std::int64_t words = to_.row_words();
  const std::int64_t rows = static_cast<std::int64_t>(bytes.size()) / k;
  std::vector<std::uint32_t> out(static_cast<std::size_t>(rows * words));
  for (std::int64_t row = 0; row < rows; ++row) {
    pack_codes({reinterpret_cast<const std::int8_t*>(bytes.data()) + row * k},
               k,
               to_.spec().num_bits,
               {out.data() + row * words});
  }
  out_.write(CompressedFields::kCodes,
             offset / k * words * 4,
             std::as_bytes(std::span(out)));
}

void RepackSink::write_scales(std::int64_t offset,
                              std::span<const std::byte> bytes) {
  const std::int64_t item = bit_width(scale_dtype_) / 8;
  const std::int64_t count = static_cast<std::int64_t>(bytes.size()) / item;
  const HostTensor out =
      fields::exact_scales(to_.format_name(),
                           {scale_dtype_, {count}, bytes.data()},
                           to_.scale_dtype(),
                           "use --dtype float32 or --scheme");
  out_.write(CompressedFields::kScale,
             offset / item * (bit_width(to_.scale_dtype()) / 8),
             out.view().bytes());
}

void RepackSink::write_zero_points(std::int64_t offset,
                                   std::span<const std::byte> bytes) {
  const std::size_t field = to_.field_indices().zero_point;
  if (field == 0) {
    for (const std::byte zero : bytes) {
      if (zero == std::byte{0}) continue;
      throw Error(
          ErrorKind::Input,
          fmt::format("{}: a symmetric weight has a zero point of {}",
                      to_.format_name(),
                      static_cast<int>(static_cast<std::int8_t>(zero))));
    }
    return;
  }
  if (!to_.packed()) return out_.write(field, offset, bytes);
  const int bits = to_.spec().num_bits;
  const std::int64_t groups = to_.groups();
  const std::vector<std::uint32_t> words =
      pack_zero_points(reinterpret_cast<const std::int8_t*>(bytes.data()),
                       static_cast<std::int64_t>(bytes.size()) / groups,
                       groups,
                       bits);
  out_.write(field,
             offset / groups * bits / 32 * groups * 4,
             std::as_bytes(std::span(words)));
}

std::unique_ptr<Encoder> make_repack_encoder(
    const CompressedEncoding& encoding) {
  return std::make_unique<RepackEncoder>(encoding);
}

RepackChoice compressed_spec_of(const Encoding& encoding,
                                bool zero_points,
                                CompressedSpec& spec) {
  if (encoding.shape().size() != 2) {
    return refuse(
        fmt::format("compressed-tensors holds weights [N, K] of Linear "
                    "modules, got {}",
                    to_string(encoding.shape())),
        "keep it with --ignore, or use --format torchao");
  }
  const auto attributes = Json::parse(encoding.attributes_json());
  std::string refusal;
  if (const auto* affine = dynamic_cast<const AffineEncoding*>(&encoding)) {
    set_blocks(encoding.shape(), affine->layout().block_size, spec);
    spec.symmetric = !zero_points;
    refusal = affine_spec(*affine, attributes, spec);
  } else if (encoding.format_name() == "Float8Tensor") {
    set_blocks(encoding.shape(), attributes["block_size"].get<Shape>(), spec);
    refusal = float8_spec(encoding, attributes, spec);
  } else if (encoding.format_name() == "Int4Tensor") {
    return refuse(
        "Int4Tensor has a float zero point, w = q * scale + zero, which "
        "compressed-tensors cannot hold",
        "-c intx_weight_only:weight_dtype=int4 or --scheme W4A16 or "
        "W4A16_ASYM");
  } else {
    refusal = fmt::format("{} is no format of compressed-tensors",
                          encoding.format_name());
  }
  if (refusal.empty()) {
    refusal = compressed_refusal(encoding.shape(), encoding.dtype(), spec);
  }
  return refuse(refusal, refusal.empty() ? "" : kRemedy);
}

RepackChoice repack_for_compressed_tensors(
    std::shared_ptr<const Encoding> encoding) {
  CompressedSpec spec;
  const auto* affine = dynamic_cast<const AffineEncoding*>(encoding.get());
  const bool zero_points =
      affine != nullptr && affine->mapping() == MappingType::Asymmetric;
  RepackChoice out = compressed_spec_of(*encoding, zero_points, spec);
  if (!out.refusal.empty()) return out;
  const Shape shape = encoding->shape();
  const DType dtype = encoding->dtype();
  out.encoding = std::make_shared<CompressedEncoding>(
      shape, dtype, std::move(spec), std::move(encoding), shape);
  return out;
}

}  // namespace mantissa
