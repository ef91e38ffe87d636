#include <mantissa/configs/name_rules.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <set>
#include <unordered_map>
#include <utility>

#include <re2/re2.h>
#include <re2/set.h>

#include <mantissa/core/error.h>

#include "configs/name_pattern.h"

namespace mantissa {
namespace {

constexpr std::int64_t kSetMemory = std::int64_t{64} << 20;

// "a.b.weight" -> "a.b"; "" for a name without a dot, as torch names the root.
std::string_view module_of(std::string_view parameter) {
  const std::size_t dot = parameter.rfind('.');
  return dot == std::string_view::npos ? std::string_view()
                                       : parameter.substr(0, dot);
}

RE2::Options regex_options() {
  RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(kSetMemory);
  return options;
}

// The beginning of a rule, for a message.
std::string shown_rule(const std::string& origin) {
  constexpr std::size_t kLongest = 200;
  return origin.size() <= kLongest ? origin
                                   : origin.substr(0, kLongest) + "...";
}

// All patterns of a rule set: one automaton, and each expression alone for the
// case that the automaton runs out of memory.
class Patterns {
 public:
  explicit Patterns(const std::vector<RuleSet::Entry>& entries)
      : set_(regex_options(), RE2::ANCHOR_BOTH) {
    for (std::size_t i = 0; i < entries.size(); ++i) {
      const NamePattern& pattern = entries[i].rule.pattern;
      if (pattern.syntax == NamePattern::Syntax::Exact) continue;
      if (rules_.size() == kMostPatterns) {
        throw_too_many_patterns(entries[i].rule.origin);
      }
      const std::string regex = full_match_regex(pattern);
      add_size(entries[i].rule, regex);
      std::string error;
      if (set_.Add(regex, &error) < 0) {
        throw Error(ErrorKind::Usage,
                    "rule '" + pattern.spelled() + "': " + error);
      }
      regexes_.push_back(regex);
      rules_.push_back(i);
    }
    compiled_ = !rules_.empty() && set_.Compile();
  }

  // Indices of the rules that match, ascending. Names are asked for again and
  // again; with many patterns an answer takes a millisecond.
  std::vector<std::size_t> match(std::string_view name) const {
    constexpr std::size_t kMany = 64;
    if (rules_.size() < kMany) return match_now(name);
    const std::lock_guard lock(memory_);
    const auto [answer, fresh] = answers_.try_emplace(std::string(name));
    if (fresh) answer->second = match_now(name);
    return answer->second;
  }

 private:
  std::vector<std::size_t> match_now(std::string_view name) const {
    std::vector<std::size_t> out;
    if (rules_.empty()) return out;
    const re2::StringPiece text(name.data(), name.size());
    std::vector<int> hits;
    RE2::Set::ErrorInfo error{RE2::Set::kNoError};
    if (compiled_ &&
        (set_.Match(text, &hits, &error) || error.kind == RE2::Set::kNoError)) {
      for (const int hit : hits) {
        out.push_back(rules_[static_cast<std::size_t>(hit)]);
      }
      std::sort(out.begin(), out.end());
      return out;
    }
    std::call_once(compiled_alone_, [&] { compile_alone(); });
    for (std::size_t i = 0; i < alone_.size(); ++i) {
      if (RE2::FullMatch(text, *alone_[i])) out.push_back(rules_[i]);
    }
    return out;
  }

  // What a rule costs, before the automaton of all of them is built.
  void add_size(const NameRule& rule, const std::string& regex) {
    const RE2 alone(regex, regex_options());
    instructions_ += alone.ok() ? alone.ProgramSize() : 0;
    if (alone.ok() && instructions_ <= kMostPatternInstructions) return;
    throw Error(ErrorKind::Usage,
                "rule '" + shown_rule(rule.origin) + "': too large" +
                    (rules_.empty() ? "" : " together with those before it") +
                    ": patterns may compile to " +
                    std::to_string(kMostPatternInstructions) +
                    " instructions in all; write shorter ones, without counts "
                    "such as {1000}");
  }

  // Thousands of them take many megabytes: only when they are needed.
  void compile_alone() const {
    for (const std::string& regex : regexes_) {
      alone_.push_back(std::make_unique<RE2>(regex, regex_options()));
    }
  }

  RE2::Set set_;
  std::vector<std::string> regexes_;
  mutable std::once_flag compiled_alone_;
  mutable std::vector<std::unique_ptr<RE2>> alone_;
  std::vector<std::size_t> rules_;  // rule of each pattern
  mutable std::mutex memory_;
  mutable std::unordered_map<std::string, std::vector<std::size_t>> answers_;
  int instructions_ = 0;
  bool compiled_ = false;
};

using ExactRules = std::unordered_map<std::string_view, std::size_t>;

constexpr std::size_t kNone = static_cast<std::size_t>(-1);

bool same_config(const ConfigPtr& a, const ConfigPtr& b) {
  return a == b || (a && b && a->to_json() == b->to_json());
}

std::size_t find_exact(const ExactRules& exact, std::string_view name) {
  const auto found = exact.find(name);
  return found == exact.end() ? kNone : found->second;
}

// Pairs of rules that disagree, with how many parameters and the first.
class Clashes {
 public:
  void add(std::size_t ours, std::size_t other, std::string_view parameter) {
    Clash& clash = clashes_[{ours, other}];
    if (clash.count++ == 0) clash.example = parameter;
  }

  // One line a pair: what `words(ours, other)` says, and the tensors.
  template <class Words>
  std::vector<std::string> lines(Words&& words) const {
    std::vector<std::string> out;
    for (const auto& [pair, clash] : clashes_) {
      out.push_back(words(pair.first, pair.second) + ": " +
                    std::to_string(clash.count) +
                    (clash.count == 1 ? " tensor, " : " tensors, first ") +
                    std::string(clash.example));
    }
    return out;
  }

 private:
  struct Clash {
    std::int64_t count = 0;
    std::string_view example;
  };
  std::map<std::pair<std::size_t, std::size_t>, Clash> clashes_;
};

}  // namespace

void throw_too_many_patterns(const std::string& rule) {
  throw Error(ErrorKind::Usage,
              "rule '" + shown_rule(rule) + "': more than " +
                  std::to_string(kMostPatterns) +
                  " patterns; write fewer that match more, or exact names in "
                  "an FqnToConfig, which takes more");
}

struct RuleSet::Impl {
  Impl(std::vector<Entry> rules, ConfigPtr base_config)
      : entries(std::move(rules)),
        base(std::move(base_config)),
        patterns(entries) {
    for (std::size_t i = 0; i < entries.size(); ++i) {
      const NameRule& rule = entries[i].rule;
      ExactRules& exact = groups[entries[i].group];
      if (rule.pattern.syntax == NamePattern::Syntax::Exact) {
        exact.emplace(rule.pattern.text, i);
        exact_rules.emplace(rule.pattern.text, i);
      }
    }
    for (const auto& [group, exact] : groups) {
      for (std::size_t i = 0; i < entries.size(); ++i) {
        if (entries[i].group == group) add_key(i);
      }
    }
    sorted_keys = keys;
    std::sort(sorted_keys.begin(), sorted_keys.end());
  }

  void add_key(std::size_t rule) {
    const NamePattern& pattern = entries[rule].rule.pattern;
    std::string key = pattern.json_key();
    if (!seen_keys.insert(key).second) return;
    if (pattern.syntax == NamePattern::Syntax::Exact) {
      json_exact.emplace(pattern.text, rule);
    } else {
      keys.emplace_back(std::move(key), rule);
    }
  }

  RuleDecision explicit_rule(std::size_t rule, bool by_parameter) const {
    return {true, rule, true, entries[rule].rule.config, by_parameter};
  }

  RuleDecision base_decision() const {
    RuleDecision out;
    out.matched = base != nullptr;
    out.config = base;
    return out;
  }

  // The first of `hits` in a group, kNone if there is none.
  std::size_t first_of(const std::vector<std::size_t>& hits, int group) const {
    for (const std::size_t hit : hits) {
      if (entries[hit].group == group) return hit;
    }
    return kNone;
  }

  std::vector<Entry> entries;  // exact keys below view its strings
  ConfigPtr base;
  Patterns patterns;
  std::map<int, ExactRules> groups;
  std::unordered_multimap<std::string_view, std::size_t> exact_rules;
  ExactRules json_exact;
  std::vector<std::pair<std::string, std::size_t>>
      keys;  // `re:` keys, in order
  std::vector<std::pair<std::string, std::size_t>> sorted_keys;
  std::set<std::string> seen_keys;
};

RuleSet::RuleSet(std::vector<Entry> rules, ConfigPtr base)
    : impl_(std::make_unique<Impl>(std::move(rules), std::move(base))) {}
RuleSet::~RuleSet() = default;
RuleSet::RuleSet(RuleSet&&) noexcept = default;
RuleSet& RuleSet::operator=(RuleSet&&) noexcept = default;

const std::vector<RuleSet::Entry>& RuleSet::rules() const {
  return impl_->entries;
}

const ConfigPtr& RuleSet::base() const { return impl_->base; }

RuleDecision RuleSet::decide(std::string_view parameter) const {
  const std::string_view module = module_of(parameter);
  const auto parameter_hits = impl_->patterns.match(parameter);
  const auto module_hits = impl_->patterns.match(module);
  for (const auto& [group, exact] : impl_->groups) {
    std::size_t rule = find_exact(exact, parameter);
    if (rule != kNone) return impl_->explicit_rule(rule, true);
    rule = find_exact(exact, module);
    if (rule != kNone) return impl_->explicit_rule(rule, false);
    rule = impl_->first_of(parameter_hits, group);
    if (rule != kNone) return impl_->explicit_rule(rule, true);
    rule = impl_->first_of(module_hits, group);
    if (rule != kNone) return impl_->explicit_rule(rule, false);
  }
  return impl_->base_decision();
}

bool RuleSet::matches(std::size_t rule, std::string_view parameter) const {
  const auto hits = matching_rules(parameter);
  return std::binary_search(hits.begin(), hits.end(), rule);
}

std::vector<std::size_t> RuleSet::matching_rules(
    std::string_view parameter) const {
  std::set<std::size_t> hits;
  for (const std::string_view name : {parameter, module_of(parameter)}) {
    const auto found = impl_->patterns.match(name);
    hits.insert(found.begin(), found.end());
    const auto exact = impl_->exact_rules.equal_range(name);
    for (auto rule = exact.first; rule != exact.second; ++rule) {
      hits.insert(rule->second);
    }
  }
  return {hits.begin(), hits.end()};
}

RuleDecision transformers_decide(const RuleSet& rules,
                                 std::string_view parameter,
                                 KeyOrder order) {
  const RuleSet::Impl& impl = *rules.impl_;
  const std::string_view module = module_of(parameter);
  std::size_t rule = find_exact(impl.json_exact, parameter);
  if (rule != kNone) return impl.explicit_rule(rule, true);
  rule = find_exact(impl.json_exact, module);
  if (rule != kNone) return impl.explicit_rule(rule, false);
  const auto parameter_hits = impl.patterns.match(parameter);
  const auto module_hits = impl.patterns.match(module);
  const auto& keys = order == KeyOrder::Sorted ? impl.sorted_keys : impl.keys;
  const auto contains = [](const std::vector<std::size_t>& hits,
                           std::size_t of) {
    return std::binary_search(hits.begin(), hits.end(), of);
  };
  for (const auto& [key, of] : keys) {
    const bool own = contains(parameter_hits, of);
    if (own || contains(module_hits, of)) return impl.explicit_rule(of, own);
  }
  return impl.base_decision();
}

std::vector<std::string> ordering_warnings(
    const RuleSet& rules,
    std::span<const std::string> parameters,
    KeyOrder order) {
  Clashes clashes;
  for (const std::string& parameter : parameters) {
    const RuleDecision ours = rules.decide(parameter);
    const RuleDecision theirs = transformers_decide(rules, parameter, order);
    if (same_config(ours.config, theirs.config)) continue;
    if (order == KeyOrder::Sorted &&
        !same_config(ours.config,
                     transformers_decide(rules, parameter).config)) {
      continue;
    }
    clashes.add(ours.rule, theirs.rule, parameter);
  }
  const std::string who =
      order == KeyOrder::Written
          ? "Transformers would"
          : "Transformers sorts the keys when it saves config.json and would "
            "then";
  return clashes.lines([&](std::size_t ours, std::size_t theirs) {
    return who + " let " + rules.rules()[theirs].rule.origin +
           " decide where " + rules.rules()[ours].rule.origin + " decides here";
  });
}

std::vector<std::string> lost_order_warnings(
    const RuleSet& rules, std::span<const std::string> parameters) {
  const auto& entries = rules.rules();
  Clashes clashes;
  for (const std::string& parameter : parameters) {
    const RuleDecision ours = rules.decide(parameter);
    if (!ours.explicit_rule || entries[ours.rule].group != kConfigGroup ||
        entries[ours.rule].rule.pattern.syntax == NamePattern::Syntax::Exact) {
      continue;
    }
    const std::string_view name =
        ours.by_parameter ? parameter : module_of(parameter);
    for (const std::size_t other : rules.impl_->patterns.match(name)) {
      if (entries[other].group == kConfigGroup &&
          !same_config(entries[other].rule.config, ours.config)) {
        clashes.add(ours.rule, other, parameter);
      }
    }
  }
  return clashes.lines([&](std::size_t ours, std::size_t other) {
    return entries[ours].rule.origin + " decides before " +
           entries[other].rule.origin +
           ", but the keys of this config are sorted, as Transformers saves "
           "them, so the order they were given in may be lost";
  });
}

}  // namespace mantissa
