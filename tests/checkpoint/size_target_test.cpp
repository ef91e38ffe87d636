#include "checkpoint/size_target.h"

#include <random>
#include <set>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <mantissa/configs/fqn_to_config.h>
#include <mantissa/configs/name_rules.h>
#include <mantissa/primitives/float_casts.h>

#include "checkpoint/dialects/dialect.h"
#include "checkpoint/plan_totals.h"
#include "support/memory_source.h"

namespace mantissa {
namespace {

using support::MemorySource;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr std::int64_t kHidden = 128;

HostTensor normal(Shape shape, unsigned seed, float outlier = 0) {
  std::mt19937 random(seed);
  std::normal_distribution<float> real(0.0f, 0.05f);
  const HostTensor out(DType::BFloat16, std::move(shape));
  const std::int64_t count = out.view().numel();
  for (std::int64_t i = 0; i < count; ++i) {
    const float value = i % 97 == 0 && outlier > 0 ? outlier : real(random);
    out.as<std::uint16_t>()[i] = float_to_bfloat16(value);
  }
  return out;
}

// A Llama whose second down projection has outliers.
MemorySource llama() {
  MemorySource source(
      R"({"architectures": ["LlamaForCausalLM"], "model_type": "llama",
          "tie_word_embeddings": true})");
  source.add("model.embed_tokens.weight", normal({256, kHidden}, 1));
  for (int i = 0; i < 2; ++i) {
    const std::string layer = "model.layers." + std::to_string(i) + ".";
    const auto seed = static_cast<unsigned>(10 * i);
    source.add(layer + "input_layernorm.weight", normal({kHidden}, seed + 2));
    for (const char* name : {"q", "k", "v", "o"}) {
      source.add(layer + "self_attn." + name + "_proj.weight",
                 normal({kHidden, kHidden}, seed + 3));
    }
    source.add(layer + "mlp.down_proj.weight",
               normal({kHidden, 2 * kHidden}, seed + 5, i == 1 ? 0.25f : 0.0f));
  }
  source.add("model.norm.weight", normal({kHidden}, 7));
  return source;
}

struct Asked {
  std::unique_ptr<RuleSet> rules;
  PlanRequest request;

  explicit Asked(std::vector<RuleSet::Entry> entries = {},
                 const char* dialect = "compressed-tensors") {
    rules =
        std::make_unique<RuleSet>(make_rule_set(nullptr, std::move(entries)));
    request.rules = rules.get();
    request.dialect = find_dialect(dialect);
    request.allow_unloadable = true;
  }
};

const PlannedTensor& find(const Plan& plan, const std::string& name) {
  for (const PlannedTensor& planned : plan.tensors) {
    if (planned.tensor.name == name) return planned;
  }
  throw std::runtime_error("no tensor " + name);
}

std::string first_problem(const Plan& plan) {
  return plan.problems.empty() ? "none" : plan.problems.front().message;
}

constexpr std::int64_t kRoom = 130'000;

TEST(SizeTargetTest, StaysWithinTheBytesAndUsesThem) {
  const MemorySource source = llama();
  double before = 1e9;
  for (const std::int64_t bytes : {100'000, 130'000, 160'000, 200'000}) {
    Asked asked;
    const Plan plan = make_plan_within(
        source, {.bytes = bytes, .words = "--target-size"}, 1, asked.request);
    EXPECT_LE(plan.output_bytes, bytes);
    EXPECT_GT(plan.output_bytes, bytes * 97 / 100);
    ASSERT_TRUE(plan.size.has_value());
    EXPECT_LT(plan.size->divergence, before) << "more bytes, less loss";
    before = plan.size->divergence;
    EXPECT_EQ(find(plan, "model.embed_tokens.weight").action, Action::Quantize);
    EXPECT_EQ(find(plan, "model.norm.weight").action, Action::Keep);
    EXPECT_EQ(find(plan, "lm_head.weight").action, Action::Tie);
  }
}

TEST(SizeTargetTest, OutliersGetMoreBits) {
  const MemorySource source = llama();
  Asked asked;
  const Plan plan =
      make_plan_within(source, {.bytes = kRoom, .words = ""}, 2, asked.request);
  EXPECT_GT(output_bytes(find(plan, "model.layers.1.mlp.down_proj.weight")),
            output_bytes(find(plan, "model.layers.0.mlp.down_proj.weight")));
}

TEST(SizeTargetTest, WorkersDoNotChangeTheChoice) {
  const MemorySource source = llama();
  std::vector<std::string> reasons[2];
  for (const int workers : {1, 3}) {
    Asked asked;
    const Plan plan = make_plan_within(
        source, {.bytes = kRoom, .words = ""}, workers, asked.request);
    for (const PlannedTensor& planned : plan.tensors) {
      reasons[workers == 1 ? 0 : 1].push_back(planned.reason);
    }
  }
  EXPECT_EQ(reasons[0], reasons[1]);
}

TEST(SizeTargetTest, BitsAWeightCountAllWeights) {
  const MemorySource source = llama();
  Asked asked;
  const Plan plan = make_plan_within(
      source, {.bits_per_weight = 5.5, .words = ""}, 1, asked.request);
  double weights = 0;
  for (const PlannedTensor& planned : plan.tensors) {
    if (!planned.tensor.tied) {
      weights += static_cast<double>(numel(planned.tensor.shape));
    }
  }
  const double bits = 8 * static_cast<double>(plan.output_bytes) / weights;
  EXPECT_LE(bits, 5.5);
  EXPECT_GT(bits, 5.3);
}

TEST(SizeTargetTest, RulesComeFirst) {
  const MemorySource source = llama();
  Asked asked(
      {{{NamePattern::parse("re-search:q_proj"), nullptr, "--ignore q"}, 0}});
  const Plan plan = make_plan_within(
      source, {.bytes = 190'000, .words = ""}, 1, asked.request);
  EXPECT_EQ(find(plan, "model.layers.0.self_attn.q_proj.weight").action,
            Action::Keep);
  EXPECT_LE(plan.output_bytes, 190'000);
}

TEST(SizeTargetTest, TooSmallATargetNamesTheLeast) {
  const MemorySource source = llama();
  Asked asked;
  const std::string text = first_problem(
      make_plan_within(source,
                       {.bytes = 50'000, .words = "--target-size 50KB"},
                       1,
                       asked.request));
  EXPECT_THAT(text, HasSubstr("--target-size 50KB: the smallest formats"));
  // What it names is enough.
  const std::int64_t least = std::stoll(text.substr(text.find("take ") + 5));
  const Plan plan =
      make_plan_within(source, {.bytes = least, .words = ""}, 1, asked.request);
  EXPECT_EQ(first_problem(plan), "none");
  EXPECT_EQ(plan.output_bytes, least);
}

TEST(SizeTargetTest, SmallShardsStillUseTheBytes) {
  const MemorySource source = llama();
  Asked asked;
  asked.request.shard_bytes = 60'000;
  const Plan plan = make_plan_within(
      source, {.bytes = 190'000, .words = ""}, 1, asked.request);
  EXPECT_LE(plan.output_bytes, 190'000);
  EXPECT_GT(plan.output_bytes, 180'000);
}

TEST(SizeTargetTest, AWeightThatFitsNothingIsNamed) {
  MemorySource source = llama();
  source.add("model.layers.2.mlp.down_proj.weight", normal({128, 200}, 1));
  Asked asked;
  const Plan refused =
      make_plan_within(source, {.bytes = kRoom, .words = ""}, 1, asked.request);
  EXPECT_THAT(first_problem(refused),
              AllOf(HasSubstr("model.layers.2.mlp.down_proj.weight"),
                    HasSubstr("K = 200"),
                    HasSubstr("--allow-skipped")));
  asked.request.allow_skipped = true;
  const Plan plan = make_plan_within(
      source, {.bytes = 190'000, .words = ""}, 1, asked.request);
  EXPECT_EQ(first_problem(plan), "none");
  EXPECT_EQ(find(plan, "model.layers.2.mlp.down_proj.weight").action,
            Action::Skip);
  EXPECT_LE(plan.output_bytes, 190'000);
}

TEST(SizeTargetTest, UnknownNamesAreRefusedAsWithAConfig) {
  MemorySource source(
      R"({"architectures": ["FooForCausalLM"], "model_type": "foo"})");
  source.add("foo.layers.0.fc1.weight", normal({64, 64}, 1));
  Asked asked;
  EXPECT_THAT(first_problem(make_plan_within(
                  source, {.bytes = kRoom, .words = ""}, 1, asked.request)),
              HasSubstr("--allow-unknown-names"));
}

TEST(SizeTargetTest, FormatsThatDoNotHoldTheValuesAreLeftOut) {
  MemorySource source = llama();
  // The range of a group overflows float16; half of it, symmetric, does not.
  HostTensor huge(DType::Float16, {64, 64});
  for (std::int64_t i = 0; i < huge.numel(); ++i) {
    huge.as<std::uint16_t>()[i] = i % 2 == 0 ? 0x7bff : 0xfbff;
  }
  source.add("model.layers.3.self_attn.q_proj.weight", huge);
  Asked asked;
  const Plan plan = make_plan_within(
      source, {.bytes = 190'000, .words = ""}, 1, asked.request);
  EXPECT_EQ(first_problem(plan), "none");
  EXPECT_THAT(find(plan, "model.layers.3.self_attn.q_proj.weight").reason,
              Not(HasSubstr("_ASYM")));
}

TEST(SizeTargetTest, TorchaoMixesFourAndEightBits) {
  const MemorySource source = llama();
  Asked asked({}, "torchao");
  const Plan plan = make_plan_within(
      source, {.bytes = 230'000, .words = ""}, 1, asked.request);
  EXPECT_LE(plan.output_bytes, 230'000);
  EXPECT_EQ(find(plan, "model.embed_tokens.weight").action, Action::Keep);
  std::set<std::string> formats;
  for (const PlannedTensor& planned : plan.tensors) {
    if (is_encoded(planned)) formats.insert(target_name(planned));
  }
  EXPECT_THAT(formats, ::testing::ElementsAre("Int4Tensor", "Int8Tensor"));
}

TEST(SizeTargetTest, NothingToChooseIsSaid) {
  MemorySource source;
  source.add("norm.weight", normal({64}, 1));
  Asked asked;
  asked.request.allow_unknown_names = true;
  EXPECT_THAT(first_problem(make_plan_within(
                  source,
                  {.bytes = 1000, .words = "--target-size 1KB"},
                  1,
                  asked.request)),
              HasSubstr("no rule leaves a weight whose bits could be chosen"));
}

// A layer counts for its share whatever the rules do to the others.
TEST(SizeTargetTest, SensitivitiesAreThoseOfTheWholeModel) {
  const MemorySource source = llama();
  Asked all;
  Asked some(
      {{{NamePattern::parse("re-search:layers.0"), nullptr, "--ignore"}, 0}});
  const auto divergence = [&](Asked& asked) {
    return make_plan_within(
               source, {.bytes = 2'000'000, .words = ""}, 1, asked.request)
        .size->divergence;
  };
  EXPECT_LT(divergence(some), 0.9 * divergence(all));
}

}  // namespace
}  // namespace mantissa
