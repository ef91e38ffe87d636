#pragma once

#include <concepts>
#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <mantissa/configs/field_config.h>
#include <mantissa/configs/name_rules.h>

namespace mantissa {

/// The config of what stays as it is: `{"lm_head", none}`.
inline constexpr std::nullptr_t none = nullptr;

/// One key of a FqnToConfig and its config, null to keep what it names.
struct FqnEntry {
  std::string key;
  ConfigPtr config;

  FqnEntry(std::string key, ConfigPtr config)
      : key(std::move(key)), config(std::move(config)) {}
  FqnEntry(std::string key, std::nullptr_t) : key(std::move(key)) {}
  template <std::derived_from<Config> T>
  FqnEntry(std::string key, T config)
      : key(std::move(key)), config(std::make_shared<T>(std::move(config))) {}
};

/// The keys that a FqnToConfig read from JSON may have (Error(Usage) above it):
/// twice what the largest checkpoints of today have tensors.
inline constexpr std::size_t kMostFqnEntries = 1 << 18;

/// Configs by name. Keys are names of parameters or modules, patterns (`re:`
/// full match in files; the other syntaxes of NamePattern here too), or
/// `_default`; their order is kept. ModuleFqnToConfig and AOPerModuleConfig are
/// older names of it.
class FqnToConfig final : public FieldConfig {
 public:
  FqnToConfig() = default;
  explicit FqnToConfig(std::vector<FqnEntry> entries)
      : fqn_to_config(std::move(entries)) {}

  std::vector<FqnEntry> fqn_to_config;

  std::string_view type() const override { return "FqnToConfig"; }
  /// Throws Error(Usage) naming the key: a key twice, a bad pattern, a config
  /// that is itself invalid or another FqnToConfig.
  void validate() const override;
  /// Throws Error(Usage): the names decide, through RuleSet.
  WeightChoice choose(const Shape& shape, DType dtype) const override;

 private:
  void write_fields(FieldWriter& writer) const override;
  void read_fields(FieldReader& reader) override;
};

/// The rules of all keys but `_default`, in order. Throws Error(Usage) for a
/// bad pattern.
std::vector<RuleSet::Entry> entries_of(const FqnToConfig& config,
                                       int group = kConfigGroup);

/// The config of `_default`, null when there is none or it is null.
ConfigPtr default_of(const FqnToConfig& config);

/// A rule set from any config: the keys of a FqnToConfig, else no rules and the
/// config as base; `explicit_rules` (--ignore, --tensor-type) come first.
RuleSet make_rule_set(const ConfigPtr& config,
                      std::vector<RuleSet::Entry> explicit_rules = {});

}  // namespace mantissa
