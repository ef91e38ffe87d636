#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <mantissa/configs/fqn_to_config.h>
#include <mantissa/configs/registry.h>
#include <mantissa/core/error.h>

#include "checkpoint/bounded_json.h"
#include "checkpoint/dialects/torchao.h"
#include "checkpoint/logical_checkpoint.h"
#include "core/quoted.h"

namespace mantissa {
namespace {

using Json = nlohmann::ordered_json;

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
    const Json& quantization, std::span<const LogicalTensor* const> encoded) {
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
    const Json& quantization, std::span<const LogicalTensor* const> encoded) {
  std::vector<Finding> findings;
  const Json kept = quantization.value("modules_to_not_convert", Json());
  if (!kept.is_array()) return findings;
  std::set<std::string, std::less<>> modules;
  for (const Json& module : kept) {
    if (module.is_string()) modules.insert(module.get<std::string>());
  }
  for (const LogicalTensor* tensor : encoded) {
    const std::string_view name = tensor->name;
    for (std::size_t dot = 0; (dot = name.find('.', dot)) != name.npos; ++dot) {
      const auto module = modules.find(name.substr(0, dot));
      if (module == modules.end()) continue;
      findings.push_back(
          wrong(tensor->name,
                fmt::format("is stored as {}, but modules_to_not_convert lists "
                            "{}",
                            tensor->stored,
                            quoted_name(*module))));
      break;
    }
  }
  return findings;
}

}  // namespace

std::vector<Finding> verify_torchao_config(
    const Json& quantization, std::span<const LogicalTensor* const> quantized) {
  std::vector<Finding> findings = verify_rules(quantization, quantized);
  for (Finding& finding : verify_kept(quantization, quantized)) {
    findings.push_back(std::move(finding));
  }
  return findings;
}

}  // namespace mantissa
