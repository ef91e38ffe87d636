// Answers one JSON request a line, for configs_judge.py.
#include <iostream>
#include <map>
#include <string>

#include <nlohmann/json.hpp>

#include <mantissa/configs.h>
#include <mantissa/core/error.h>

#include "support/exchange.h"

namespace {

using Json = nlohmann::ordered_json;
using namespace mantissa;

Json config_json(const ConfigPtr& config) {
  return config ? Json::parse(config->to_json()) : Json();
}

Json read(const ParsedConfig& parsed) {
  return {{"config", config_json(parsed.config)},
          {"warnings", parsed.warnings}};
}

Json all_defaults() {
  Json out = Json::array();
  for (const ConfigInfo& info : configs()) {
    out.push_back({{"type", info.type},
                   {"short_name", info.short_name},
                   {"config", config_json(info.make())}});
  }
  return out;
}

Json decision(const RuleDecision& decision, std::string_view name) {
  // A module's rule, and the base, speak of the module's weight.
  const bool own = decision.explicit_rule && decision.by_parameter;
  return {{"matched", decision.matched},
          {"own", own},
          {"name", name},
          {"config", config_json(decision.config)}};
}

Json decide(const Json& request) {
  const RuleSet rules =
      make_rule_set(parse_config_json(request["config"].dump()).config);
  Json out = Json::array();
  for (const std::string name : request["names"]) {
    out.push_back(
        {{"ours", decision(rules.decide(name), name)},
         {"transformers", decision(transformers_decide(rules, name), name)},
         {"sorted",
          decision(transformers_decide(rules, name, KeyOrder::Sorted), name)}});
  }
  return out;
}

// Encodes tensor "weight" of a file as a config says: the fields go to another
// file, the attributes into the answer.
Json encode_weight(const Json& request) {
  const auto tensors =
      support::load_tensors(request["from"].get<std::string>());
  const ConstTensorView weight = tensors.at("weight").view();
  const ConfigPtr config = parse_config_json(request["config"].dump()).config;
  const WeightChoice choice = config->choose(weight.shape, weight.dtype);
  if (!choice.encoding) return {{"refusal", choice.refusal}};
  const EncodedTensor encoded = encode(choice.encoding, weight);
  std::map<std::string, HostTensor> out;
  const auto fields = choice.encoding->fields();
  for (std::size_t i = 0; i < fields.size(); ++i) {
    out.emplace(fields[i].name, encoded.fields[i]);
  }
  support::save_tensors(request["to"].get<std::string>(), out);
  return {{"format", choice.encoding->format_name()},
          {"attributes", Json::parse(choice.encoding->attributes_json())}};
}

Json answer(const Json& request) {
  const std::string op = request["op"];
  if (op == "defaults") return all_defaults();
  if (op == "read") {
    return read(parse_config_json(request["config"].dump()));
  }
  if (op == "words")
    return read(parse_config(request["text"].get<std::string>()));
  if (op == "decide") return decide(request);
  if (op == "encode") return encode_weight(request);
  return {{"error", "unknown op"}};
}

}  // namespace

int main() {
  std::string line;
  while (std::getline(std::cin, line)) {
    Json out;
    try {
      out = answer(Json::parse(line));
    } catch (const Error& error) {
      out = {{"error", error.what()}};
    }
    std::cout << out.dump() << std::endl;
  }
}
