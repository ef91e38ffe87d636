#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <mantissa/configs/config.h>

namespace mantissa {

/// A name pattern in one of five syntaxes: `exact`, `glob:`, `re:` (full
/// match), `re-prefix:`, `re-search:`. Regular expressions are RE2.
struct NamePattern {
  enum class Syntax { Exact, Glob, Full, Prefix, Search };
  Syntax syntax = Syntax::Exact;
  std::string text;  ///< without the prefix

  /// Throws Error(Usage) for an expression that RE2 refuses.
  static NamePattern parse(std::string_view spelled);
  /// With the prefix, as the user wrote it.
  std::string spelled() const;
  /// The key in FqnToConfig's JSON: the exact name, or an equivalent `re:` full
  /// match.
  std::string json_key() const;
};

/// One explicit rule; a null config keeps the tensor.
struct NameRule {
  NamePattern pattern;
  ConfigPtr config;
  std::string origin;  ///< "--ignore lm_head", "config key 're:.*q_proj'"
};

/// What the rules say of one parameter.
struct RuleDecision {
  bool matched = false;  ///< a rule or the base config applies
  std::size_t rule = 0;  ///< index in RuleSet::rules(), if `explicit_rule`
  bool explicit_rule = false;  ///< false: the plain -c or `_default` decided
  ConfigPtr config;            ///< null: keep
  /// The rule hit the parameter's own name, not only its module's. A rule on a
  /// module speaks of the module's weight, not of its bias.
  bool by_parameter = false;
};

/// The order in which Transformers meets the keys of a config.json: as written,
/// or sorted, as it saves them.
enum class KeyOrder { Written, Sorted };

/// RuleSet's group of the keys of a config; --ignore and --tensor-type are
/// before it.
inline constexpr int kConfigGroup = 2;

/// The patterns that a RuleSet takes; exact names are not counted.
inline constexpr std::size_t kMostPatterns = 2048;

/// What all patterns of a RuleSet together may compile to, in RE2's
/// instructions: about one for a character, thousands for `.{1000}`.
inline constexpr int kMostPatternInstructions = 1 << 18;

/// Throws Error(Usage) that `rule` ("rules.txt:7 up=none") is one pattern more
/// than a RuleSet takes.
[[noreturn]] void throw_too_many_patterns(const std::string& rule);

/// Rules in order of precedence, compiled once (R12): a decision costs one
/// lookup for exact names plus the patterns, linear in the name.
class RuleSet {
 public:
  /// `rules` in order of precedence between classes of equal rank; `base` is
  /// the plain -c config or `_default`, null for none. Within `rules` the
  /// precedence of FqnToConfig holds per origin group: `group` ascending first
  /// (--ignore, --tensor-type, -c), then exact parameter, exact module,
  /// parameter pattern, module pattern, each in order.
  struct Entry {
    NameRule rule;
    int group = 0;
  };
  /// Throws Error(Usage) naming the rule that goes beyond kMostPatterns or
  /// kMostPatternInstructions.
  RuleSet(std::vector<Entry> rules, ConfigPtr base);
  ~RuleSet();
  RuleSet(RuleSet&&) noexcept;
  RuleSet& operator=(RuleSet&&) noexcept;

  const std::vector<Entry>& rules() const;
  const ConfigPtr& base() const;
  /// Decision for a parameter by its full name
  /// ("model.layers.0.mlp.up.weight"); its module is the name without the last
  /// component.
  RuleDecision decide(std::string_view parameter) const;
  /// True if a rule matches, whether or not another one outranks it: for "a
  /// rule that matches nothing is an error".
  bool matches(std::size_t rule, std::string_view parameter) const;
  /// Every rule that matches the parameter or its module, ascending: matches()
  /// for all rules in one pass.
  std::vector<std::size_t> matching_rules(std::string_view parameter) const;

 private:
  friend RuleDecision transformers_decide(const RuleSet&,
                                          std::string_view,
                                          KeyOrder);
  friend std::vector<std::string> lost_order_warnings(
      const RuleSet&, std::span<const std::string>);
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// What Transformers would decide for a parameter from the JSON keys of the
/// rules: exact parameter, exact module, then for each `re:` key in order the
/// parameter or the module, else `_default`. Of two rules with one JSON key
/// only the first in precedence exists.
RuleDecision transformers_decide(const RuleSet& rules,
                                 std::string_view parameter,
                                 KeyOrder order = KeyOrder::Written);

/// One line for each pair of rules whose order Transformers resolves otherwise,
/// with the number of parameters and the first of them; empty when it agrees.
/// For sorted keys only what they alone change.
std::vector<std::string> ordering_warnings(
    const RuleSet& rules,
    std::span<const std::string> parameters,
    KeyOrder order = KeyOrder::Written);

/// The same for a config that was read with sorted keys: one line for each pair
/// of its patterns of which the lost order might have chosen the other.
std::vector<std::string> lost_order_warnings(
    const RuleSet& rules, std::span<const std::string> parameters);

}  // namespace mantissa
