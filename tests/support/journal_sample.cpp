#include "support/journal_sample.h"

#include <mantissa/configs/fqn_to_config.h>
#include <mantissa/configs/registry.h>

#include "checkpoint/journal_line.h"
#include "checkpoint/work_units.h"

namespace mantissa::support {

JournalSample::JournalSample()
    : source_(R"({"architectures": ["Qwen3MoeForCausalLM"]})") {
  source_.add("model.embed_tokens.weight", DType::BFloat16, {96, 64})
      .add("model.layers.0.self_attn.q_proj.weight", DType::BFloat16, {64, 64})
      .add("model.layers.0.mlp.experts.down_proj",
           DType::BFloat16,
           {40, 1024, 1024})
      .add("model.norm.weight", DType::BFloat16, {64});
  const ConfigPtr config = parse_config_words("int8_weight_only");
  rules_ = std::make_unique<RuleSet>(make_rule_set(config));
  PlanRequest request;
  request.rules = rules_.get();
  request.base = config;
  plan_ = make_plan(source_, request);
  require_runnable(plan_);
  head_ = Journal::head(plan_, source_, config);
}

std::vector<std::string> JournalSample::lines() const {
  std::vector<std::string> out;
  for (std::size_t i = 0; i < plan_.tensors.size(); ++i) {
    for (const WorkUnit& unit : work_units(plan_, i)) {
      JournalEntry entry{unit, {}};
      TensorResult& result = entry.result;
      result.xxh3.assign(plan_.tensors[i].outputs.size(), 0x0123456789abcdef);
      result.source_xxh3 = 0xfedcba9876543210;
      if (is_encoded(plan_.tensors[i])) {
        result.errors.resize(
            unit.whole() ? 1 : static_cast<std::size_t>(unit.matrices),
            {.signal = 3.5, .noise = 0.25, .max_error = 0.1, .values = 4096});
        result.scales.add(0.01);
        result.crests.add(3.0);
        result.max_weight = 1.5;
      }
      out.push_back(journal_line(plan_, entry));
    }
  }
  return out;
}

}  // namespace mantissa::support
