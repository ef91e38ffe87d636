#include "checkpoint/quantized_reason.h"

#include <array>
#include <string_view>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "checkpoint/bounded_json.h"
#include "checkpoint/dialects/dialect.h"
#include "checkpoint/dialects/torchao.h"
#include "checkpoint/quoted.h"

namespace mantissa {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kOriginal =
    "start from the original model, or dequantize() it in Transformers and "
    "save_pretrained() the result";

constexpr std::string_view kDecode =
    "start from the original model, or decode this one with `mantissa "
    "convert`, which also changes its dialect";

constexpr std::string_view kUnknownMethod = "unknown method";

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

// What gave the method away, in words.
struct Evidence {
  std::string method;
  std::string words;
};

Evidence config_evidence(const CheckpointSource& source) {
  const auto config = parse_bounded_json(source.config_json());
  const Json* found = config ? quantization_config(*config) : nullptr;
  if (found == nullptr) return {};
  const std::string method = method_of(*found);
  if (method.empty()) {
    return {std::string(kUnknownMethod),
            "config.json has a quantization_config"};
  }
  return {method,
          fmt::format("config.json has a quantization_config with quant_method "
                      "{}",
                      quoted_name(method))};
}

Evidence metadata_evidence(const CheckpointSource& source) {
  if (!is_torchao_metadata(source.metadata())) return {};
  for (const auto& [key, value] : source.metadata()) {
    if (key == "tensor_names") continue;
    const auto entry = parse_bounded_json(value);
    const Json* type = entry ? member(*entry, "_type") : nullptr;
    if (type == nullptr || !type->is_string() || *type == "Tensor") continue;
    return {"torchao",
            fmt::format("{} is stored as {}",
                        quoted_name(key),
                        quoted_name(type->get<std::string>()))};
  }
  return {};
}

Evidence name_evidence(const CheckpointSource& source) {
  for (const SourceTensor& tensor : source.tensors()) {
    for (const auto& [suffix, method] : kMarks) {
      if (!tensor.name.ends_with(suffix)) continue;
      return {std::string(method),
              fmt::format("it holds {}", quoted_name(tensor.name))};
    }
  }
  return {};
}

Evidence find_evidence(const CheckpointSource& source) {
  if (source.kind() == "GGUF") return {};
  for (const auto look : {config_evidence, metadata_evidence, name_evidence}) {
    Evidence found = look(source);
    if (!found.method.empty()) return found;
  }
  return {};
}

}  // namespace

std::string quantization_method(const CheckpointSource& source) {
  return find_evidence(source).method;
}

std::string quantized_reason(const CheckpointSource& source) {
  const Evidence found = find_evidence(source);
  if (found.method.empty()) return {};
  return fmt::format(
      "already quantized ({}): {}; quantizing twice loses accuracy: {}",
      printable(found.method),
      found.words,
      dialect_of(source) != nullptr ? kDecode : kOriginal);
}

std::string quantization_conflict(const CheckpointSource& source) {
  if (source.kind() == "GGUF" || !is_torchao_metadata(source.metadata())) {
    return {};
  }
  const Evidence config = config_evidence(source);
  if (config.method.empty() || config.method == kUnknownMethod ||
      config.method == torchao_dialect().name()) {
    return {};
  }
  const Evidence metadata = metadata_evidence(source);
  return fmt::format(
      "{}, but the files hold torchao's metadata{}{}: one of the two is wrong, "
      "and the codes mean something else in each. Remedy: take both from one "
      "model, or correct config.json",
      config.words,
      metadata.words.empty() ? "" : ", where ",
      metadata.words);
}

std::string unread_quantization(const CheckpointSource& source) {
  const Evidence found = find_evidence(source);
  if (found.method.empty()) return {};
  return fmt::format("quantized by a method that is not read here ({}): {}; {}",
                     printable(found.method),
                     found.words,
                     kOriginal);
}

std::string convert_refusal(const CheckpointSource& source) {
  const Evidence found = find_evidence(source);
  if (found.method.empty()) return {};
  return fmt::format(
      "already quantized ({}): {}; convert would cast its codes and scales as "
      "if they were weights: {}",
      printable(found.method),
      found.words,
      kOriginal);
}

}  // namespace mantissa
