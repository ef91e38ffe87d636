#include "checkpoint/convert_rules.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include <fmt/format.h>

#include <mantissa/core/error.h>

#include "checkpoint/carried_codes.h"
#include "checkpoint/loading_names.h"
#include "core/quoted.h"

namespace mantissa {
namespace {

// Roles that a plain -c config would take.
bool taken_by_base(const LoadingTensor& tensor) {
  switch (tensor.role) {
    case TensorRole::Linear:
    case TensorRole::Experts:
    case TensorRole::Unknown:
      return true;
    case TensorRole::Head:
      return !tensor.tied;
    default:
      return false;
  }
}

// Formats whose parameters are equal get one config; a format has zero points
// when one of its tensors does.
class Configs {
 public:
  Configs(const DecodedSource& source, const Dialect& target)
      : source_(source), target_(target) {
    for (std::size_t i = 0; i < source.tensors().size(); ++i) {
      const DialectTensor& tensor = source.tensor(i);
      if (tensor.plain()) continue;
      bool& asymmetric = asymmetric_[grid_key(tensor)];
      asymmetric = asymmetric || has_zero_points(source.stored(), tensor);
    }
  }

  ConfigPtr of(const DialectTensor& tensor) {
    ConfigPtr& config = configs_[grid_key(tensor)];
    if (config != nullptr) return config;
    try {
      config = target_.equivalent_config(*tensor.encoding,
                                         asymmetric_.at(grid_key(tensor)));
    } catch (const Error& error) {
      throw Error(ErrorKind::Usage,
                  fmt::format("tensor {}: {} cannot become {}: {}. Remedy: "
                              "--format plain decodes it, and `quantize` "
                              "starts from there",
                              quoted_name(tensor.name),
                              tensor.type,
                              target_.name(),
                              error.what()));
    }
    // Equal texts share one object, so that rules can be counted by it.
    ConfigPtr& known = by_text_[config->to_json()];
    if (known == nullptr) known = config;
    config = known;
    return config;
  }

 private:
  const DecodedSource& source_;
  const Dialect& target_;
  std::map<std::string, bool> asymmetric_;
  std::map<std::string, ConfigPtr> configs_;
  std::map<std::string, ConfigPtr> by_text_;
};

RuleSet::Entry exact_rule(const std::string& name, ConfigPtr config) {
  return {{{NamePattern::Syntax::Exact, name},
           std::move(config),
           "as stored: " + name},
          0};
}

}  // namespace

RuleSet convert_rules(const DecodedSource& source, const Dialect& target) {
  Configs configs(source, target);
  std::map<ConfigPtr, std::int64_t> counts;
  std::vector<std::pair<const LoadingTensor*, ConfigPtr>> chosen;
  const LoadingNames names = loading_names(source);
  for (const LoadingTensor& tensor : names.tensors) {
    if (tensor.tied || tensor.pieces.empty()) continue;
    const DialectTensor& stored = source.tensor(tensor.pieces.front().source);
    ConfigPtr config = stored.plain() ? nullptr : configs.of(stored);
    if (config != nullptr && taken_by_base(tensor)) ++counts[config];
    chosen.emplace_back(&tensor, std::move(config));
  }
  ConfigPtr base;
  std::int64_t most = 0;
  for (const auto& [tensor, config] : chosen) {
    if (config != nullptr && counts[config] > most) {
      most = counts[config];
      base = config;
    }
  }
  std::vector<RuleSet::Entry> rules;
  for (const auto& [tensor, config] : chosen) {
    const bool by_base = taken_by_base(*tensor);
    if (by_base ? config == base : config == nullptr) continue;
    if (config == nullptr && tensor->shape.size() < 2) continue;
    rules.push_back(exact_rule(tensor->name, config));
  }
  return RuleSet(std::move(rules), base);
}

}  // namespace mantissa
