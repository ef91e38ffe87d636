#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <mantissa/core/error.h>

#include "checkpoint/dialects/compressed_tensors.h"
#include "checkpoint/logical_checkpoint.h"
#include "core/quoted.h"

namespace mantissa {
namespace {

using Json = nlohmann::ordered_json;

bool has_tensor(std::span<const LogicalTensor* const> quantized,
                const std::string& name) {
  return std::ranges::any_of(
      quantized, [&](const LogicalTensor* t) { return t->name == name; });
}

}  // namespace

std::vector<Finding> verify_compressed_config(
    const Json& quantization, std::span<const LogicalTensor* const> quantized) {
  std::vector<Finding> findings;
  if (quantization.value("quantization_status", Json()) != "compressed") {
    findings.push_back(
        wrong("",
              "config.json: quantization_config.quantization_status: expected "
              "\"compressed\"; without it Transformers initializes the "
              "quantized weights anew"));
  }
  if (!quantization.contains("format")) {
    findings.push_back(
        wrong("", "config.json: quantization_config has no format"));
  }
  const CompressedGroups groups(quantization);
  for (const LogicalTensor* tensor : quantized) {
    const std::string_view module = compressed_module(tensor->name);
    if (!groups.ignores(module)) continue;
    findings.push_back(wrong(
        tensor->name,
        fmt::format("is stored as {}, but ignore lists it", tensor->stored)));
  }
  if (!has_tensor(quantized, "lm_head.weight") && !groups.ignores("lm_head") &&
      groups.find("lm_head") != nullptr) {
    findings.push_back(
        wrong("",
              "config.json: quantization_config: lm_head is a Linear, is not "
              "quantized and is not in ignore; Transformers does not load "
              "this"));
  }
  return findings;
}

}  // namespace mantissa
