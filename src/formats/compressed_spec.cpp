#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <mantissa/core/tensor_view.h>

#include "formats/compressed_tensor.h"

namespace mantissa {
namespace {

using Json = nlohmann::ordered_json;

Json weight_args(const CompressedSpec& spec) {
  Json out = {{"num_bits", spec.num_bits},
              {"type", spec.floating ? "float" : "int"},
              {"symmetric", spec.symmetric},
              {"strategy", name(spec.strategy)}};
  if (spec.strategy == CompressedStrategy::Group) {
    out["group_size"] = spec.group_size;
  }
  if (spec.strategy == CompressedStrategy::Block) {
    out["block_structure"] = {spec.block_rows, spec.block_columns};
  }
  out["dynamic"] = false;
  if (spec.observer != CompressedObserver::MinMax) {
    out["observer"] = name(spec.observer);
  }
  return out;
}

}  // namespace

std::string_view name(CompressedFormat format) {
  switch (format) {
    case CompressedFormat::PackQuantized:
      return "pack-quantized";
    case CompressedFormat::IntQuantized:
      return "int-quantized";
    case CompressedFormat::FloatQuantized:
      return "float-quantized";
    case CompressedFormat::NaiveQuantized:
      return "naive-quantized";
  }
  return "";
}

std::string_view name(CompressedStrategy strategy) {
  switch (strategy) {
    case CompressedStrategy::Tensor:
      return "tensor";
    case CompressedStrategy::Channel:
      return "channel";
    case CompressedStrategy::Group:
      return "group";
    case CompressedStrategy::Block:
      return "block";
  }
  return "";
}

std::string_view name(CompressedObserver observer) {
  return observer == CompressedObserver::Mse ? "mse" : "minmax";
}

std::string compressed_scheme_json(const CompressedSpec& spec) {
  Json out;
  out["weights"] = weight_args(spec);
  const auto parsed = [](const std::string& text) {
    return text.empty() ? Json(nullptr) : Json::parse(text);
  };
  out["input_activations"] = parsed(spec.input_activations);
  out["output_activations"] = parsed(spec.output_activations);
  out["format"] = name(spec.format);
  return out.dump();
}

std::string compressed_refusal(const Shape& shape,
                               DType dtype,
                               const CompressedSpec& spec) {
  if (shape.size() != 2) {
    return "shape: expected [N, K], got " + to_string(shape);
  }
  for (const DType one : {dtype, spec.scale_dtype.value_or(dtype)}) {
    if (one != DType::Float32 && one != DType::BFloat16 &&
        one != DType::Float16) {
      return fmt::format("dtype: expected bfloat16, float16 or float32, got {}",
                         name(one));
    }
  }
  const bool pack = spec.format == CompressedFormat::PackQuantized;
  if (spec.num_bits < 1 || spec.num_bits > 8 || (!pack && spec.num_bits != 8)) {
    return fmt::format(
        "num_bits: expected {}, got {}", pack ? "1 to 8" : "8", spec.num_bits);
  }
  if (spec.floating && (pack || !spec.symmetric)) {
    return "type: float codes are symmetric and not packed";
  }
  std::int64_t unit = 1;
  if (spec.strategy == CompressedStrategy::Group) unit = spec.group_size;
  if (spec.strategy == CompressedStrategy::Block) unit = spec.block_columns;
  if (unit < 1 || shape[1] % unit != 0 || spec.block_rows < 1) {
    return fmt::format(
        "group_size: expected a divisor of K = {}, got {}", shape[1], unit);
  }
  if (spec.strategy == CompressedStrategy::Block && !spec.symmetric) {
    return "symmetric: blocks of rows have no zero points";
  }
  if (spec.observer == CompressedObserver::Mse &&
      (spec.floating || (spec.strategy != CompressedStrategy::Group &&
                         spec.strategy != CompressedStrategy::Channel))) {
    return "observer: mse is for integers in groups or channels";
  }
  if (spec.strategy == CompressedStrategy::Tensor && pack && !spec.symmetric) {
    return "symmetric: one packed scale for a tensor has no zero point";
  }
  return {};
}

}  // namespace mantissa
