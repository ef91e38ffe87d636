#include <algorithm>
#include <string>
#include <vector>

#include <mantissa/configs/fqn_to_config.h>
#include <mantissa/configs/name_rules.h>
#include <mantissa/configs/registry.h>
#include <mantissa/core/error.h>
#include <mantissa/formats/encoding.h>

#include "checkpoint/bounded_json.h"
#include "checkpoint/plan.h"
#include "fuzz/target.h"
#include "fuzz/use_source.h"
#include "support/memory_source.h"
#include "support/torchao_source.h"

namespace mantissa::fuzz {
namespace {

using support::MemorySource;

const std::vector<std::string>& parameters() {
  static const std::vector<std::string> names = {
      "model.embed_tokens.weight",
      "model.layers.0.self_attn.q_proj.weight",
      "model.layers.10.mlp.down_proj.weight",
      "lm_head.weight",
      "w",
      ""};
  return names;
}

// Runs a reader; false when it refuses with an error of one of its kinds.
template <class Call>
bool accepted(const Call& call, ErrorKind kind) {
  try {
    call();
  } catch (const Error& error) {
    expect(error.kind() == kind || error.kind() == ErrorKind::Usage,
           "the reader says what is wrong with the text");
    return false;
  }
  return true;
}

// A model with this config.json: plain, and with tensors that torchao's
// metadata says are quantized.
void use_model(std::string_view text) {
  const std::string config(text);
  parse_config_object(config, "config.json");
  MemorySource plain(config);
  for (const std::string& name : parameters()) {
    if (!name.empty()) plain.add(name, HostTensor(DType::BFloat16, {32, 64}));
  }
  use_source(plain);
  static const EncodedTensor encoded = support::encode_as(
      "int4_weight_only:group_size=32", support::smooth_weight({8, 64}, 0));
  support::TorchaoSource quantized(config);
  quantized.add("model.layers.0.self_attn.q_proj.weight", encoded)
      .add("model.norm.weight", support::smooth_weight({64}, 1));
  use_source(quantized.source);
}

void choose(const Config& config) {
  for (const Shape& shape : {Shape{64, 128}, Shape{2, 64, 96}, Shape{7}}) {
    const WeightChoice choice = config.choose(shape, DType::BFloat16);
    expect((choice.encoding == nullptr) != choice.refusal.empty(),
           "a config encodes a weight or says why not");
  }
}

void use_rules(const ConfigPtr& config) {
  const RuleSet rules = make_rule_set(config);
  for (const std::string& name : parameters()) {
    const RuleDecision decision = rules.decide(name);
    if (!decision.explicit_rule) continue;
    const auto hits = rules.matching_rules(name);
    expect(std::ranges::find(hits, decision.rule) != hits.end(),
           "the rule that decides matches");
  }
  ordering_warnings(rules, parameters());
  ordering_warnings(rules, parameters(), KeyOrder::Sorted);
  lost_order_warnings(rules, parameters());
  MemorySource source(R"({"architectures": ["LlamaForCausalLM"]})");
  for (const std::string& name : parameters()) {
    const bool has_module = name.find('.') != name.npos;
    if (has_module) source.add(name, DType::BFloat16, {64, 128});
  }
  PlanRequest request;
  request.rules = &rules;
  request.base = config;
  request.allow_unknown_names = true;
  make_plan(source, request);
}

void use_config(std::string_view text) {
  const ConfigPtr config = parse_config(text).config;
  expect(config != nullptr, "a config that was read is there");
  const std::string written = config->to_json();
  expect(parse_config_json(written).config->to_json() == written,
         "a config means the same when it is written again");
  config->validate();
  if (config->type() != "FqnToConfig") choose(*config);
  use_rules(config);
}

// --ignore and --tensor-type: any text is a pattern in some syntax, and its
// JSON key matches what it matches.
void use_pattern(std::string_view text) {
  const NamePattern pattern = NamePattern::parse(text);
  const NamePattern key = NamePattern::parse(pattern.json_key());
  const RuleSet rules({{{pattern, nullptr, "a"}, 0}, {{key, nullptr, "b"}, 0}},
                      nullptr);
  for (const std::string& name : parameters()) {
    expect(rules.matches(0, name) == rules.matches(1, name),
           "a pattern and its JSON key match the same names");
  }
}

}  // namespace

Outcome config(std::string_view input) {
  const bool model = accepted([&] { use_model(input); }, ErrorKind::Input);
  const bool config = accepted([&] { use_config(input); }, ErrorKind::Usage);
  if (input.size() < 200) {
    accepted([&] { use_pattern(input); }, ErrorKind::Usage);
  }
  return model || config ? Outcome::Accepted : Outcome::Refused;
}

}  // namespace mantissa::fuzz
