#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>

#include <fmt/format.h>

#include <mantissa/configs/name_rules.h>
#include <mantissa/core/error.h>

#include "support/cpu_clock.h"

namespace mantissa {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// A config that is only a name.
class NamedConfig : public Config {
 public:
  explicit NamedConfig(std::string name) : name_(std::move(name)) {}
  std::string_view type() const override { return name_; }
  std::string to_json() const override { return "\"" + name_ + "\""; }
  void validate() const override {}
  WeightChoice choose(const Shape&, DType) const override { return {}; }

 private:
  std::string name_;
};

ConfigPtr config(const std::string& name) {
  return name.empty() ? nullptr : std::make_shared<NamedConfig>(name);
}

struct Spec {
  std::string pattern;
  std::string config;  // "" for null
  int group = 2;
};

RuleSet rules(const std::vector<Spec>& specs, const std::string& base = "") {
  std::vector<RuleSet::Entry> entries;
  for (const Spec& spec : specs) {
    entries.push_back({{NamePattern::parse(spec.pattern),
                        config(spec.config),
                        "key '" + spec.pattern + "'"},
                       spec.group});
  }
  return RuleSet(std::move(entries), config(base));
}

// "none" when nothing matched, "keep" for null, else the config's name.
std::string word(const RuleDecision& decision) {
  if (!decision.matched) return "none";
  return decision.config ? std::string(decision.config->type()) : "keep";
}

std::string message(std::string_view spelled) {
  try {
    NamePattern::parse(spelled);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::Usage);
    return error.what();
  }
  return "";
}

TEST(NamePatternTest, JsonKeysAreExactNamesOrFullMatches) {
  const auto key = [](std::string_view spelled) {
    const NamePattern pattern = NamePattern::parse(spelled);
    EXPECT_EQ(pattern.spelled(), spelled);
    return pattern.json_key();
  };
  EXPECT_EQ(key("model.layers.0.mlp"), "model.layers.0.mlp");
  EXPECT_EQ(key(R"(re:a\.b|c)"), R"(re:a\.b|c)");
  EXPECT_EQ(key("re-prefix:a|b"), "re:(?:a|b).*");
  EXPECT_EQ(key("re-search:q_proj"), "re:.*(?:q_proj).*");
  EXPECT_EQ(key("re-search:(?i)Q"), "re:(?i).*(?:Q).*");
  EXPECT_EQ(key("glob:*.[!0-9]?x+"), R"(re:.*\.[^0-9].x\+)");
  EXPECT_EQ(key("glob:a[b"), R"(re:a\[b)");
  EXPECT_EQ(key("glob:[]^a]"), R"(re:[\]\^a])");
}

TEST(NamePatternTest, RefusesWhatCannotBeRead) {
  EXPECT_THAT(message("re:"), HasSubstr("got nothing"));
  EXPECT_THAT(message(""), HasSubstr("got nothing"));
  EXPECT_THAT(message("re:a("), HasSubstr("rule 're:a(': expected an RE2"));
  EXPECT_THAT(message("re:(?=a)b"), HasSubstr("look-around"));
  EXPECT_THAT(message(R"(re:(a)\1)"), HasSubstr("back-references"));
}

TEST(NamePatternTest, RefusesWhatPythonReadsOtherwise) {
  for (const char* pattern : {R"(re:a\z)",
                              R"(re:\Qa.b\E)",
                              R"(re:\pL)",
                              R"(re:\x{41})",
                              "re:[[:alpha:]]",
                              "re:a{,3}",
                              "re:(?U)a*",
                              "re:a(?i)b",
                              "re-search:(?i-s:a)(?i)b"}) {
    EXPECT_THAT(message(pattern), HasSubstr("Python's re")) << pattern;
  }
  EXPECT_EQ(message("re:(?i)a(?:b|c)(?P<n>d)(?s:e)"), "");
  EXPECT_EQ(message(R"(re:a\\z{2,}[\[\]])"), "");
}

TEST(RuleSetTest, ExactParameterThenModuleThenPatterns) {
  const RuleSet set = rules({{"re:.*mlp", "module pattern"},
                             {"re:.*up.weight", "parameter pattern"},
                             {"a.mlp", "module"},
                             {"a.mlp.weight", "parameter"},
                             {"re:.*", "late"}},
                            "base");
  EXPECT_EQ(word(set.decide("a.mlp.weight")), "parameter");
  EXPECT_EQ(word(set.decide("a.mlp.bias")), "module");
  EXPECT_EQ(word(set.decide("b.mlp.weight")), "late");
  EXPECT_EQ(word(set.decide("b.up.weight")), "parameter pattern");
}

TEST(RuleSetTest, ParameterPatternsBeforeModulePatterns) {
  const RuleSet set =
      rules({{"re:.*mlp", "module"}, {R"(re:.*\.weight)", "parameter"}});
  const RuleDecision weight = set.decide("a.mlp.weight");
  EXPECT_EQ(word(weight), "parameter");
  EXPECT_TRUE(weight.by_parameter);
  const RuleDecision bias = set.decide("a.mlp.bias");
  EXPECT_EQ(word(bias), "module");
  EXPECT_FALSE(bias.by_parameter);
  EXPECT_EQ(word(set.decide("a.norm.bias")), "none");
}

TEST(RuleSetTest, FirstPatternWinsAndNullExcludesOneParameterOnly) {
  const RuleSet set = rules({{R"(re:lin\.weight)", ""},
                             {"re:lin\\.w.*", "second"},
                             {"e.gate", ""},
                             {"e.down", ""},
                             {"re:e", "module"},
                             {"only.weight", ""}},
                            "base");
  EXPECT_EQ(word(set.decide("lin.weight")), "keep");
  EXPECT_EQ(word(set.decide("lin.w2")), "second");
  EXPECT_EQ(word(set.decide("e.gate")), "keep");
  EXPECT_EQ(word(set.decide("e.down")), "keep");
  EXPECT_EQ(word(set.decide("e.up")), "module");
  EXPECT_EQ(word(set.decide("only.weight")), "keep");
  EXPECT_EQ(word(set.decide("only.other")), "base");
  EXPECT_FALSE(set.decide("only.other").explicit_rule);
}

TEST(RuleSetTest, GroupsOutrankEverythingElse) {
  const RuleSet set = rules({{"a.b.weight", "config", 2},
                             {"re-search:b", "type", 1},
                             {"glob:*.c.*", "", 0}});
  EXPECT_EQ(word(set.decide("a.b.weight")), "type");
  EXPECT_EQ(word(set.decide("b.c.weight")), "keep");
  EXPECT_EQ(word(set.decide("a.d.weight")), "none");
}

TEST(RuleSetTest, EverySyntaxMatchesAsItSays) {
  const auto hits = [](const std::string& pattern, std::string_view name) {
    return rules({{pattern, "x"}}).decide(name).matched;
  };
  EXPECT_TRUE(hits("lm_head", "lm_head.weight"));
  EXPECT_FALSE(hits("lm_hea", "lm_head.weight"));
  EXPECT_FALSE(hits("re:lm_hea", "lm_head.weight"));
  EXPECT_TRUE(hits("re:lm_head|x", "lm_head.weight"));
  EXPECT_TRUE(hits("re-prefix:lm", "lm_head.weight"));
  EXPECT_FALSE(hits("re-prefix:head", "lm_head.weight"));
  EXPECT_TRUE(hits("re-search:head$", "lm_head.weight"));
  EXPECT_TRUE(hits("re-search:^lm", "lm_head.weight"));
  EXPECT_FALSE(hits("re-search:^head", "lm_head.weight"));
  EXPECT_TRUE(hits("glob:lm*t", "lm_head.weight"));
  EXPECT_FALSE(hits("glob:lm*g", "lm_head.weight"));
  EXPECT_TRUE(hits("re:.*", "x"));
}

TEST(RuleSetTest, MatchesSeesOutrankedRules) {
  const RuleSet set =
      rules({{"a", "1"}, {"a", "2"}, {"re:a", "3"}, {"b", "4"}});
  EXPECT_THAT(set.matching_rules("a.weight"), ElementsAre(0, 1, 2));
  EXPECT_TRUE(set.matches(1, "a.weight"));
  EXPECT_FALSE(set.matches(3, "a.weight"));
  EXPECT_THAT(set.matching_rules("c.weight"), IsEmpty());
}

TEST(RuleSetTest, HundredThousandNamesTakeWellUnderASecond) {
  std::vector<Spec> specs;
  for (int i = 0; i < 10; ++i) {
    specs.push_back(
        {fmt::format("re:model\\.layers\\.[0-9]*{}\\..*(q|k|v)_proj.*", i),
         fmt::format("c{}", i)});
  }
  const RuleSet set = rules(specs);
  const auto start = support::CpuClock::now();
  int matched = 0;
  for (int i = 0; i < 100000; ++i) {
    const std::string name =
        fmt::format("model.layers.{}.{}.weight",
                    i,
                    i % 2 ? "self_attn.q_proj" : "mlp.down_proj");
    matched += set.decide(name).matched;
  }
  const std::chrono::duration<double> took = support::CpuClock::now() - start;
  EXPECT_EQ(matched, 50000);
  EXPECT_LT(took.count(), 1.0);
}

TEST(TransformersDecideTest, OnePassOverTheKeys) {
  const RuleSet set = rules({{"re:.*mlp", "module"},
                             {R"(re:.*\.weight)", "parameter"},
                             {"exact", "exact"}},
                            "base");
  EXPECT_EQ(word(transformers_decide(set, "a.mlp.weight")), "module");
  EXPECT_EQ(word(transformers_decide(set, "a.b.weight")), "parameter");
  EXPECT_EQ(word(transformers_decide(set, "exact.weight")), "exact");
  EXPECT_EQ(word(transformers_decide(set, "a.b.bias")), "base");
}

TEST(TransformersDecideTest, SortedKeysChangeTheFirstMatch) {
  const RuleSet set = rules({{"re:z.*", "z"}, {"re:.*q", "q"}});
  EXPECT_EQ(word(transformers_decide(set, "zq.weight")), "z");
  EXPECT_EQ(word(transformers_decide(set, "zq.weight", KeyOrder::Sorted)), "q");
}

TEST(OrderingWarningsTest, NameBothRulesAndCount) {
  const RuleSet set = rules({{"re:.*mlp", "m"},
                             {R"(re:.*\.weight)", "p"},
                             {"re-search:head", "", 0},
                             {"head", "x", 2}});
  const std::vector<std::string> names = {
      "a.mlp.weight", "b.mlp.weight", "c.x.weight", "head.weight"};
  EXPECT_THAT(
      ordering_warnings(set, names),
      ElementsAre("Transformers would let key 're:.*mlp' decide where key "
                  "'re:.*\\.weight' decides here: 2 tensors, first "
                  "a.mlp.weight",
                  "Transformers would let key 'head' decide where key "
                  "'re-search:head' decides here: 1 tensor, head.weight"));
  EXPECT_THAT(ordering_warnings(rules({{"a", "x"}}), names), IsEmpty());
}

TEST(OrderingWarningsTest, SortedKeysTellOnlyWhatTheyChange) {
  const RuleSet set = rules({{"re:z.*", "z"},
                             {"re:.*q", "q"},
                             {"re:.*mlp", "m"},
                             {R"(re:.*\.weight)", "p"}});
  // The second differs in any order, and is told there.
  const std::vector<std::string> names = {"zq.bias", "b.mlp.weight"};
  EXPECT_THAT(ordering_warnings(set, names, KeyOrder::Sorted),
              ElementsAre("Transformers sorts the keys when it saves "
                          "config.json and would then let key 're:.*q' decide "
                          "where key 're:z.*' decides here: 1 tensor, "
                          "zq.bias"));
}

TEST(LostOrderWarningsTest, NameThePatternsThatOverlap) {
  const RuleSet set = rules({{"re:.*a.*", "x"},
                             {"re:.*b.*", "y"},
                             {"re:.*c.*", "x"},
                             {"exact.ab", "z"},
                             {"re:.*d.*", "w", 0},
                             {"re:.*da", "v", 0}});
  const std::vector<std::string> names = {"ab.weight",
                                          "bac.weight",
                                          "ac.weight",
                                          "exact.ab.weight",
                                          "da.weight",
                                          "other.weight"};
  EXPECT_THAT(
      lost_order_warnings(set, names),
      ElementsAre("key 're:.*a.*' decides before key 're:.*b.*', but the keys "
                  "of this config are sorted, as Transformers saves them, so "
                  "the order they were given in may be lost: 2 tensors, first "
                  "ab.weight"));
}

}  // namespace
}  // namespace mantissa
