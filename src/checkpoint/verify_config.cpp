#include "checkpoint/verify_config.h"

#include <algorithm>
#include <optional>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <mantissa/configs/fqn_to_config.h>
#include <mantissa/configs/registry.h>
#include <mantissa/core/error.h>

#include "checkpoint/bounded_json.h"
#include "checkpoint/quoted.h"

namespace mantissa {
namespace {

using Json = nlohmann::ordered_json;

Finding wrong(std::string tensor, std::string what) {
  return {Severity::Wrong, std::move(tensor), std::move(what)};
}

std::vector<const LogicalTensor*> encoded_tensors(
    const LogicalCheckpoint& checkpoint) {
  std::vector<const LogicalTensor*> encoded;
  if (checkpoint.torchao() == nullptr) return encoded;
  for (const LogicalTensor& tensor : checkpoint.tensors()) {
    if (tensor.quantized) encoded.push_back(&tensor);
  }
  return encoded;
}

// Attribute texts in one spelling.
std::string normal(const std::string& attributes) {
  const auto json = parse_bounded_json(attributes);
  return json ? nlohmann::json(*json).dump() : attributes;
}

// Compares what a tensor is with what the rules would make of it.
std::optional<Finding> verify_tensor(const LogicalTensor& tensor,
                                     const RuleSet& rules) {
  const RuleDecision decision = rules.decide(tensor.name);
  if (decision.config == nullptr) {
    return wrong(
        tensor.name,
        fmt::format("is stored as {}, but quantization_config keeps it",
                    tensor.stored));
  }
  if (tensor.encoding == nullptr) return std::nullopt;  // a problem of its own
  const WeightChoice choice =
      decision.config->choose(tensor.shape, tensor.dtype);
  if (choice.encoding == nullptr) {
    return wrong(tensor.name,
                 fmt::format("is stored as {}, but {} does not fit it: {}",
                             tensor.stored,
                             decision.config->type(),
                             choice.refusal));
  }
  if (choice.encoding->format_name() != tensor.stored) {
    return wrong(tensor.name,
                 fmt::format("is stored as {}, but {} makes {}",
                             tensor.stored,
                             decision.config->type(),
                             choice.encoding->format_name()));
  }
  const std::string expected = normal(choice.encoding->attributes_json());
  const std::string found = normal(tensor.encoding->attributes_json());
  if (expected == found) return std::nullopt;
  return wrong(tensor.name,
               fmt::format("attributes differ from what {} makes: expected {}, "
                           "got {}",
                           decision.config->type(),
                           expected,
                           found));
}

std::vector<Finding> verify_rules(
    const Json& quantization,
    const std::vector<const LogicalTensor*>& encoded) {
  const Json type = quantization.value("quant_type", Json());
  if (!type.is_object() || !type.contains("default")) {
    return {wrong("",
                  "config.json: quantization_config.quant_type has no "
                  "\"default\" config")};
  }
  std::vector<Finding> findings;
  try {
    const ParsedConfig parsed = parse_config_json(type["default"].dump());
    for (const std::string& warning : parsed.warnings) {
      findings.push_back({Severity::Note, "", "config.json: " + warning});
    }
    const RuleSet rules = make_rule_set(parsed.config);
    for (const LogicalTensor* tensor : encoded) {
      if (auto finding = verify_tensor(*tensor, rules)) {
        findings.push_back(std::move(*finding));
      }
    }
  } catch (const Error& error) {
    findings.push_back(wrong(
        "", fmt::format("config.json: quantization_config: {}", error.what())));
  }
  return findings;
}

std::vector<Finding> verify_kept(
    const Json& quantization,
    const std::vector<const LogicalTensor*>& encoded) {
  std::vector<Finding> findings;
  const Json kept = quantization.value("modules_to_not_convert", Json());
  if (!kept.is_array()) return findings;
  for (const Json& module : kept) {
    if (!module.is_string()) continue;
    const auto prefix = module.get<std::string>() + '.';
    for (const LogicalTensor* tensor : encoded) {
      if (!tensor->name.starts_with(prefix)) continue;
      findings.push_back(
          wrong(tensor->name,
                fmt::format("is stored as {}, but modules_to_not_convert lists "
                            "{}",
                            tensor->stored,
                            quoted_name(module.get<std::string>()))));
    }
  }
  return findings;
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
  const auto config = parse_bounded_json(text);
  if (!config || !config->is_object()) {
    return {wrong("", "config.json: nests too deep or repeats a key")};
  }
  const Json quantization = config->value("quantization_config", Json());
  if (!quantization.is_object()) {
    if (encoded.empty()) return {};
    return {wrong("",
                  fmt::format("config.json has no quantization_config, but {} "
                              "tensors are quantized, such as {}",
                              encoded.size(),
                              quoted_name(encoded[0]->name)))};
  }
  const Json method = quantization.value("quant_method", Json());
  if (method != "torchao") {
    if (encoded.empty()) {
      return {{Severity::Note,
               "",
               fmt::format(
                   "quantized with {}: only names, sizes and finite "
                   "values are checked",
                   quoted_name(method.is_string() ? method.get<std::string>()
                                                  : method.dump()))}};
    }
    return {wrong("",
                  "config.json: quantization_config.quant_method: expected "
                  "\"torchao\", got " +
                      method.dump())};
  }
  if (encoded.empty()) {
    return {wrong("",
                  "config.json says quant_method torchao, but no tensor is "
                  "quantized")};
  }
  std::vector<Finding> findings = verify_rules(quantization, encoded);
  for (Finding& finding : verify_kept(quantization, encoded)) {
    findings.push_back(std::move(finding));
  }
  return findings;
}

}  // namespace mantissa
