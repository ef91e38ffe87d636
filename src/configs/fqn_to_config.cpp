#include <mantissa/configs/fqn_to_config.h>

#include <algorithm>
#include <iterator>
#include <set>

#include <nlohmann/json.hpp>

#include <mantissa/core/error.h>

#include "configs/fields.h"

namespace mantissa {
namespace {

constexpr std::string_view kDefault = "_default";

// Equality as torchao sees it after reading JSON: without the order of keys.
bool same_entries(const std::vector<FqnEntry>& a,
                  const std::vector<FqnEntry>& b) {
  const auto sorted = [](const std::vector<FqnEntry>& entries) {
    std::set<std::pair<std::string, std::string>> out;
    for (const FqnEntry& entry : entries) {
      out.emplace(entry.key, entry.config ? entry.config->to_json() : "null");
    }
    return out;
  };
  return sorted(a) == sorted(b);
}

[[noreturn]] void fail_key(const std::string& key, const std::string& what) {
  throw Error(ErrorKind::Usage, "FqnToConfig: key '" + key + "': " + what);
}

}  // namespace

void FqnToConfig::write_fields(FieldWriter& writer) const {
  writer("fqn_to_config", fqn_to_config);
  // vLLM reads its skip list from this older name of the same field.
  writer("module_fqn_to_config", fqn_to_config);
}

void FqnToConfig::read_fields(FieldReader& reader) {
  std::vector<FqnEntry> module_fqn_to_config;
  reader("fqn_to_config", fqn_to_config);
  reader("module_fqn_to_config", module_fqn_to_config);
  for (const auto* entries : {&fqn_to_config, &module_fqn_to_config}) {
    if (entries->size() <= kMostFqnEntries) continue;
    throw Error(ErrorKind::Usage,
                "FqnToConfig: expected at most " +
                    std::to_string(kMostFqnEntries) + " keys, got " +
                    std::to_string(entries->size()) +
                    "; write patterns ('re:...') that match more");
  }
  if (fqn_to_config.empty()) {
    fqn_to_config = std::move(module_fqn_to_config);
  } else if (!module_fqn_to_config.empty() &&
             !same_entries(fqn_to_config, module_fqn_to_config)) {
    throw Error(ErrorKind::Usage,
                "FqnToConfig: fqn_to_config and module_fqn_to_config: expected "
                "the same keys and configs, got different ones; leave one out");
  }
}

void FqnToConfig::validate() const {
  std::set<std::string> keys;
  for (const FqnEntry& entry : fqn_to_config) {
    const std::string key = NamePattern::parse(entry.key).json_key();
    if (!keys.insert(key).second) fail_key(entry.key, "is given twice");
    if (!entry.config) continue;
    if (entry.config->type() == type()) {
      fail_key(entry.key, "expected a config for one tensor, got FqnToConfig");
    }
    try {
      entry.config->validate();
    } catch (const Error& error) {
      fail_key(entry.key, error.what());
    }
  }
}

WeightChoice FqnToConfig::choose(const Shape&, DType) const {
  throw Error(ErrorKind::Usage,
              "FqnToConfig: a name is needed to choose a format");
}

std::vector<RuleSet::Entry> entries_of(const FqnToConfig& config, int group) {
  std::vector<RuleSet::Entry> out;
  for (const FqnEntry& entry : config.fqn_to_config) {
    if (entry.key == kDefault) continue;
    out.push_back({{NamePattern::parse(entry.key),
                    entry.config,
                    "config key '" + entry.key + "'"},
                   group});
  }
  return out;
}

ConfigPtr default_of(const FqnToConfig& config) {
  for (const FqnEntry& entry : config.fqn_to_config) {
    if (entry.key == kDefault) return entry.config;
  }
  return nullptr;
}

RuleSet make_rule_set(const ConfigPtr& config,
                      std::vector<RuleSet::Entry> explicit_rules) {
  const auto* by_name = dynamic_cast<const FqnToConfig*>(config.get());
  if (by_name == nullptr) return RuleSet(std::move(explicit_rules), config);
  std::vector<RuleSet::Entry> entries = std::move(explicit_rules);
  std::ranges::move(entries_of(*by_name), std::back_inserter(entries));
  return RuleSet(std::move(entries), default_of(*by_name));
}

}  // namespace mantissa
