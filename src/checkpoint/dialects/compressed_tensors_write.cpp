#include <algorithm>
#include <map>
#include <unordered_set>

#include <nlohmann/json.hpp>

#include "checkpoint/dialects/compressed_tensors.h"
#include "checkpoint/plan.h"

namespace mantissa {
namespace {

using Json = nlohmann::ordered_json;

// Modules that share a scheme, in the order of the plan.
struct Group {
  std::string scheme;
  std::vector<const PlannedTensor*> tensors;
};

std::vector<Group> groups_of(const Plan& plan) {
  std::vector<Group> groups;
  std::map<const Encoding*, std::string> schemes;
  for (const PlannedTensor& planned : plan.tensors) {
    if (!is_encoded(planned)) continue;
    std::string& scheme = schemes[planned.encoding.get()];
    if (scheme.empty()) scheme = planned.encoding->attributes_json();
    auto at = std::ranges::find(groups, scheme, &Group::scheme);
    if (at == groups.end()) at = groups.insert(at, {scheme, {}});
    at->tensors.push_back(&planned);
  }
  return groups;
}

std::string module_of(const std::string& tensor) {
  return std::string(compressed_module(tensor));
}

bool is_linear(const PlannedTensor& planned) {
  return planned.tensor.role == TensorRole::Linear ||
         planned.tensor.role == TensorRole::Head;
}

// Rules do not keep their order in config.json, so every module is named; only
// the largest group may stand for the class.
Json targets_of(const Group& group, bool as_class) {
  Json out = Json::array();
  if (as_class) out.push_back("Linear");
  for (const PlannedTensor* planned : group.tensors) {
    if (as_class && is_linear(*planned)) continue;
    out.push_back(module_of(planned->tensor.name));
  }
  return out;
}

// Every module that may be a Linear and stays. lm_head is named even when it is
// tied and absent: Transformers would look for its weight.
std::vector<std::string> ignored(const Plan& plan) {
  constexpr const char* kHead = "lm_head";
  std::vector<std::string> out;
  std::unordered_set<std::string> known;
  bool head_encoded = false;
  const auto add = [&](const std::string& module) {
    if (!module.empty() && known.insert(module).second) out.push_back(module);
  };
  for (const PlannedTensor& planned : plan.tensors) {
    const LoadingTensor& tensor = planned.tensor;
    if (is_encoded(planned)) {
      head_encoded |= module_of(tensor.name) == kHead;
      continue;
    }
    const bool named = is_linear(planned) ||
                       tensor.role == TensorRole::Router ||
                       tensor.role == TensorRole::Unknown;
    if (named && tensor.shape.size() == 2) add(module_of(tensor.name));
    if (tensor.role != TensorRole::Experts) continue;
    for (const FileTensor& file : planned.outputs) add(module_of(file.name));
  }
  if (!head_encoded) add(kHead);
  return out;
}

}  // namespace

std::size_t compressed_groups(const Plan& plan) {
  return groups_of(plan).size();
}

Json compressed_config(const Plan& plan) {
  const std::vector<Group> groups = groups_of(plan);
  const auto largest =
      std::ranges::max_element(groups, {}, [](const Group& group) {
        return std::ranges::count_if(group.tensors, [](const PlannedTensor* p) {
          return is_linear(*p);
        });
      });
  Json schemes = Json::object();
  std::string format;
  for (auto group = groups.begin(); group != groups.end(); ++group) {
    Json scheme;
    scheme["targets"] =
        targets_of(*group, plan.names.known && group == largest);
    const Json parsed = Json::parse(group->scheme);
    for (const auto& [key, value] : parsed.items()) {
      scheme[key] = value;
    }
    const auto own = scheme["format"].get<std::string>();
    format = format.empty() || format == own ? own : "mixed-precision";
    const std::string name = "group_" + std::to_string(group - groups.begin());
    schemes[name] = std::move(scheme);
  }
  Json out;
  out["quant_method"] = "compressed-tensors";
  out["format"] = format;
  out["quantization_status"] = "compressed";
  out["config_groups"] = std::move(schemes);
  out["ignore"] = ignored(plan);
  out["kv_cache_scheme"] = nullptr;
  out["global_compression_ratio"] = nullptr;
  return out;
}

}  // namespace mantissa
