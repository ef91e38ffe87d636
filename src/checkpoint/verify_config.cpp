#include "checkpoint/verify_config.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "checkpoint/bounded_json.h"
#include "checkpoint/dialects/dialect.h"
#include "core/quoted.h"

namespace mantissa {
namespace {

using Json = nlohmann::ordered_json;

std::vector<const LogicalTensor*> encoded_tensors(
    const LogicalCheckpoint& checkpoint) {
  std::vector<const LogicalTensor*> encoded;
  if (checkpoint.quantized() == nullptr) return encoded;
  for (const LogicalTensor& tensor : checkpoint.tensors()) {
    if (tensor.quantized) encoded.push_back(&tensor);
  }
  return encoded;
}

}  // namespace

std::vector<Finding> verify_config(const LogicalCheckpoint& checkpoint) {
  const auto encoded = encoded_tensors(checkpoint);
  const std::string& text = checkpoint.source().config_json();
  if (text.empty()) {
    if (encoded.empty()) return {};
    return {{Severity::Note,
             "",
             "no config.json: Transformers cannot load this; torchao's "
             "unflatten_tensor_state_dict can"}};
  }
  const Json config = parse_config_object(text, "config.json");
  const Json quantization = config.value("quantization_config", Json());
  if (!quantization.is_object()) {
    if (encoded.empty()) return {};
    return {wrong("",
                  fmt::format("config.json has no quantization_config, but {} "
                              "tensors are quantized, such as {}",
                              encoded.size(),
                              quoted_name(encoded[0]->name)))};
  }
  const Json method = quantization.value("quant_method", Json());
  const Dialect* named =
      method.is_string() ? find_dialect(method.get<std::string>()) : nullptr;
  if (encoded.empty() && named != nullptr) {
    return {wrong("",
                  fmt::format("config.json says quant_method {}, but no tensor "
                              "is quantized",
                              named->name()))};
  }
  if (encoded.empty()) {
    return {
        {Severity::Note,
         "",
         fmt::format("quantized with {}: only names, sizes and finite "
                     "values are checked",
                     quoted_name(method.is_string() ? method.get<std::string>()
                                                    : method.dump()))}};
  }
  if (named == nullptr || named != checkpoint.dialect()) {
    return {wrong(
        "",
        fmt::format("config.json: quantization_config.quant_method: "
                    "expected \"{}\", got {}",
                    checkpoint.dialect()->name(),
                    quoted_name(method.is_string() ? method.get<std::string>()
                                                   : method.dump())))};
  }
  return named->verify_config(quantization, encoded);
}

}  // namespace mantissa
