#include "checkpoint/quantized_reason.h"

#include <array>
#include <string_view>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "checkpoint/bounded_json.h"
#include "checkpoint/dialects/torchao.h"
#include "checkpoint/quoted.h"

namespace mantissa {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kRemedy =
    "quantizing twice loses accuracy: start from the original model, or "
    "dequantize() it in Transformers and save_pretrained() the result";

const Json* member(const Json& object, const char* key) {
  if (!object.is_object() || !object.contains(key)) return nullptr;
  return &object[key];
}

// quantization_config of config.json, also inside text_config, where
// multimodal models keep it; compressed-tensors once wrote compression_config.
const Json* quantization_config(const Json& config) {
  for (const char* key : {"quantization_config", "compression_config"}) {
    const Json* found = member(config, key);
    if (found != nullptr && found->is_object()) return found;
  }
  const Json* text = member(config, "text_config");
  return text == nullptr ? nullptr : quantization_config(*text);
}

std::string method_of(const Json& quantization) {
  const Json* method = member(quantization, "quant_method");
  if (method != nullptr && method->is_string()) {
    return method->get<std::string>();
  }
  for (const char* key : {"load_in_4bit", "load_in_8bit"}) {
    if (member(quantization, key) != nullptr) return "bitsandbytes";
  }
  return {};
}

// Suffixes of tensors that only quantized checkpoints have, for files without a
// config.json.
struct Mark {
  std::string_view suffix;
  std::string_view method;
};

constexpr std::array kMarks = {
    Mark{".weight_packed", "compressed-tensors"},
    Mark{".weight_scale_inv", "fp8"},
    Mark{".g_idx", "gptq"},
    Mark{".qzeros", "gptq or awq"},
    Mark{".weight.absmax", "bitsandbytes"},
    Mark{".weight.quant_map", "bitsandbytes"},
    Mark{".SCB", "bitsandbytes"},
};

}  // namespace

std::string quantized_reason(const CheckpointSource& source) {
  if (source.kind() == "GGUF") return {};
  if (!source.config_json().empty()) {
    const auto config = parse_bounded_json(source.config_json());
    const Json* found = config ? quantization_config(*config) : nullptr;
    if (found != nullptr) {
      const std::string method = method_of(*found);
      return fmt::format(
          "already quantized: config.json has a quantization_config{}; {}",
          method.empty() ? "" : " with quant_method " + quoted_name(method),
          kRemedy);
    }
  }
  if (is_torchao_metadata(source.metadata())) {
    for (const auto& [key, value] : source.metadata()) {
      if (key == "tensor_names") continue;
      const auto entry = parse_bounded_json(value);
      const Json* type = entry ? member(*entry, "_type") : nullptr;
      if (type != nullptr && type->is_string() && *type != "Tensor") {
        return fmt::format(
            "already quantized by torchao: {} is stored as {}; "
            "{}",
            quoted_name(key),
            quoted_name(type->get<std::string>()),
            kRemedy);
      }
    }
  }
  for (const SourceTensor& tensor : source.tensors()) {
    for (const auto& [suffix, method] : kMarks) {
      if (tensor.name.ends_with(suffix)) {
        return fmt::format("already quantized ({}): it holds {}; {}",
                           method,
                           quoted_name(tensor.name),
                           kRemedy);
      }
    }
  }
  return {};
}

}  // namespace mantissa
