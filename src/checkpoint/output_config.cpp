#include "checkpoint/output_config.h"

#include <algorithm>
#include <set>

#include <nlohmann/json.hpp>

#include <mantissa/configs/fqn_to_config.h>

#include "checkpoint/bounded_json.h"
#include "checkpoint/dialects/dialect.h"

namespace mantissa {
namespace {

using Json = nlohmann::ordered_json;

std::string module_of(const std::string& parameter) {
  constexpr std::string_view kWeight = ".weight";
  if (!parameter.ends_with(kWeight)) return parameter;
  return parameter.substr(0, parameter.size() - kWeight.size());
}

// Eligible tensors that stay although the base config would take them.
bool is_exception(const PlannedTensor& planned, const PlanRequest& request) {
  return planned.action == Action::Skip ||
         (planned.rule.empty() &&
          request.nonfinite.count(planned.tensor.name) > 0);
}

bool unties_head(const Plan& plan) {
  return std::any_of(
      plan.tensors.begin(), plan.tensors.end(), [](const PlannedTensor& p) {
        return p.tensor.tied && is_encoded(p);
      });
}

// The dtype of the weights that stay or decode to, when the plan casts.
void set_dtype(Json& config, const Plan& plan) {
  for (const PlannedTensor& planned : plan.tensors) {
    if (planned.action != Action::Cast) continue;
    const std::string dtype(name(planned.tensor.dtype));
    const char* key =
        config.contains("torch_dtype") && !config.contains("dtype")
            ? "torch_dtype"
            : "dtype";
    config[key] = dtype;
    return;
  }
}

}  // namespace

ConfigPtr recorded_config(const PlanRequest& request, const Plan& plan) {
  if (!anything_encoded(plan)) return nullptr;
  if (request.rules == nullptr) return request.base;
  FqnToConfig out;
  for (const PlannedTensor& planned : plan.tensors) {
    if (is_exception(planned, request)) {
      out.fqn_to_config.emplace_back(module_of(planned.tensor.name), nullptr);
    }
  }
  for (const PlannedTensor& planned : plan.tensors) {
    if (planned.chosen.empty() || !is_encoded(planned)) continue;
    out.fqn_to_config.emplace_back(module_of(planned.tensor.name),
                                   planned.config);
  }
  for (const RuleSet::Entry& entry : request.rules->rules()) {
    out.fqn_to_config.emplace_back(entry.rule.pattern.json_key(),
                                   entry.rule.config);
  }
  const ConfigPtr& base = request.rules->base();
  if (out.fqn_to_config.empty()) return base;
  if (base != nullptr) out.fqn_to_config.emplace_back("_default", base);
  // The first rule of a key wins; a second one could never apply.
  std::set<std::string> keys;
  std::erase_if(out.fqn_to_config, [&](const FqnEntry& entry) {
    return !keys.insert(entry.key).second;
  });
  return std::make_shared<FqnToConfig>(std::move(out));
}

std::string output_config_json(const CheckpointSource& source,
                               const PlanRequest& request,
                               const Plan& plan) {
  const ConfigPtr config = recorded_config(request, plan);
  const Json quantization =
      anything_encoded(plan)
          ? plan.dialect->quantization_config(plan, config.get())
          : Json(nullptr);
  const std::string& text = source.config_json();
  if (text.empty() && quantization.is_null()) return {};
  Json out =
      text.empty() ? Json::object() : parse_config_object(text, "config.json");
  set_dtype(out, plan);
  if (unties_head(plan)) out["tie_word_embeddings"] = false;
  const Json before = out.value("quantization_config", Json());
  out.erase("quantization_config");
  if (!quantization.is_null()) {
    Json& now = out["quantization_config"];
    now = quantization;
    // A key-value cache stays quantized where the dialect knows of it.
    constexpr const char* kCache = "kv_cache_scheme";
    if (before.is_object() && before.contains(kCache) && now.contains(kCache)) {
      now[kCache] = before[kCache];
    }
  }
  return out.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace mantissa
