#include <nlohmann/json.hpp>

#include "checkpoint/dialects/torchao.h"

namespace mantissa {
namespace {

using Json = nlohmann::json;

constexpr const char* kTorchao = "torchao and Transformers";

LoaderNote int8_note(const Encoding& encoding) {
  if (encoding.shape().size() > 2) {
    return {false,
            kTorchao,
            "nothing: torchao's Int8Tensor has no transpose "
            "for expert weights"};
  }
  for (const FieldLayout& field : encoding.fields()) {
    if (field.name == "act_quant_scale") {
      return {true,
              "Mantissa alone: Transformers does not load act_quant_scale",
              "Mantissa alone"};
    }
  }
  return {false, kTorchao, "CPU and GPU"};
}

LoaderNote float8_note(const Json& attributes) {
  const bool dynamic = attributes.contains("act_quant_kwargs") &&
                       !attributes["act_quant_kwargs"].is_null();
  if (!dynamic) return {false, kTorchao, "CPU and GPU"};
  const Json& granularity =
      attributes.at("act_quant_kwargs").at("_data").at("granularity");
  if (granularity.value("_type", "") == "PerBlock") {
    return {true,
            "Mantissa alone: torchao's reader does not decode PerBlock",
            "Mantissa alone"};
  }
  return {false, kTorchao, "GPU of compute capability 8.9 or newer"};
}

}  // namespace

LoaderNote torchao_loader_note(const Encoding& encoding) {
  const std::string_view format = encoding.format_name();
  const Json attributes = Json::parse(encoding.attributes_json());
  if (format == "Int8Tensor") return int8_note(encoding);
  if (format == "Float8Tensor") return float8_note(attributes);
  if (format == "IntxUnpackedToInt8Tensor") {
    return {false, kTorchao, "CPU and GPU"};
  }
  if (format == "Int4Tensor") {
    if (encoding.dtype() != DType::BFloat16) {
      return {false, kTorchao, "nothing: torchao's kernels take bfloat16"};
    }
    return {false,
            std::string(kTorchao) + ", vLLM",
            "Hopper GPU with the mslk package"};
  }
  if (format == "Int4TilePackedTo4dTensor") {
    return {false, "torchao", "CUDA GPU"};
  }
  return {true,
          "Mantissa alone: torchao has no safetensors form of " +
              std::string(format),
          "Mantissa alone"};
}

}  // namespace mantissa
