#include "checkpoint/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include <mantissa/configs/fqn_to_config.h>
#include <mantissa/configs/registry.h>

#include "checkpoint/output_config.h"
#include "support/memory_source.h"

namespace mantissa {
namespace {

using support::MemorySource;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr const char* kLlama =
    R"({"architectures": ["LlamaForCausalLM"], "model_type": "llama",
        "tie_word_embeddings": true, "own_field": [1, {"a": 2}]})";

MemorySource llama(int layers, std::int64_t hidden) {
  MemorySource source(kLlama);
  source.add("model.embed_tokens.weight", DType::BFloat16, {96, hidden});
  for (int i = 0; i < layers; ++i) {
    const std::string layer = "model.layers." + std::to_string(i) + ".";
    source.add(layer + "input_layernorm.weight", DType::BFloat16, {hidden});
    source.add(
        layer + "self_attn.q_proj.weight", DType::BFloat16, {hidden, hidden});
    source.add(
        layer + "mlp.down_proj.weight", DType::BFloat16, {hidden, 2 * hidden});
  }
  source.add("model.norm.weight", DType::BFloat16, {hidden});
  return source;
}

NameRule rule(const std::string& pattern, ConfigPtr config) {
  return {NamePattern::parse(pattern), std::move(config), "rule " + pattern};
}

// A request that keeps its rules alive.
struct Words {
  std::unique_ptr<RuleSet> rules;
  PlanRequest request;

  explicit Words(const std::string& config,
                 std::vector<RuleSet::Entry> entries = {}) {
    rules = std::make_unique<RuleSet>(
        make_rule_set(config.empty() ? nullptr : parse_config_words(config),
                      std::move(entries)));
    request.rules = rules.get();
  }
};

const PlannedTensor& find(const Plan& plan, const std::string& name) {
  for (const PlannedTensor& planned : plan.tensors) {
    if (planned.tensor.name == name) return planned;
  }
  throw std::runtime_error("no tensor " + name);
}

TEST(PlanTest, EveryTensorHasOneActionAndAReason) {
  const MemorySource source = llama(2, 64);
  const Words words("int8_weight_only");
  const Plan plan = make_plan(source, words.request);
  EXPECT_TRUE(plan.problems.empty());
  EXPECT_EQ(plan.tensors.size(), source.tensors().size() + 1);
  for (const PlannedTensor& planned : plan.tensors) {
    EXPECT_FALSE(planned.reason.empty()) << planned.tensor.name;
  }
  EXPECT_EQ(find(plan, "model.layers.1.mlp.down_proj.weight").action,
            Action::Quantize);
  EXPECT_EQ(find(plan, "model.embed_tokens.weight").action, Action::Keep);
  EXPECT_EQ(find(plan, "model.norm.weight").action, Action::Keep);
  EXPECT_EQ(find(plan, "lm_head.weight").action, Action::Tie);
}

TEST(PlanTest, OffsetsAreContiguousAndAlignedToTheHeader) {
  const MemorySource source = llama(3, 64);
  Words words("int8_weight_only");
  words.request.shard_bytes = 20000;
  const Plan plan = make_plan(source, words.request);
  ASSERT_GT(plan.shards.size(), 2u);
  std::vector<std::vector<std::pair<std::int64_t, std::int64_t>>> spans(
      plan.shards.size());
  for (const PlannedTensor& planned : plan.tensors) {
    for (const FileTensor& file : planned.outputs) {
      spans[file.shard].emplace_back(
          file.offset, file.offset + byte_count(file.dtype, file.shape));
    }
  }
  for (std::size_t i = 0; i < spans.size(); ++i) {
    std::sort(spans[i].begin(), spans[i].end());
    auto at = static_cast<std::int64_t>(plan.shards[i].header.size());
    for (const auto& [begin, end] : spans[i]) {
      EXPECT_EQ(begin, at);
      at = end;
    }
    EXPECT_EQ(at, plan.shards[i].file_bytes);
  }
  EXPECT_EQ(plan.shards[0].file.substr(0, 6), "model-");
}

TEST(PlanTest, SymmetricInt1IsWarnedAbout) {
  const MemorySource source = llama(4, 64);
  const auto warnings = [&](const std::string& config) {
    return make_plan(source, Words(config).request).warnings;
  };
  const std::vector<std::string> one =
      warnings("intx_weight_only:weight_dtype=int1");
  ASSERT_EQ(one.size(), 1u);
  EXPECT_THAT(one[0],
              AllOf(HasSubstr("model.layers.0.mlp.down_proj.weight"),
                    HasSubstr(" and 5 more: symmetric int1"),
                    HasSubstr("every code becomes 0"),
                    HasSubstr("Remedy: ASYMMETRIC, or int2")));
  for (const char* config :
       {"intx_weight_only:weight_dtype=int2",
        "intx_weight_only:weight_dtype=int1,mapping_type=ASYMMETRIC",
        "intx_weight_only:weight_dtype=int1,"
        "intx_choose_qparams_algorithm=HQQ_SCALE_ONLY"}) {
    EXPECT_THAT(warnings(config), testing::IsEmpty()) << config;
  }
}

TEST(PlanTest, AShapeThatOnlyTheBaseHitsIsExitSix) {
  const MemorySource source = llama(2, 96);
  Words words("int4_weight_only");
  words.request.rules = words.rules.get();
  Plan plan = make_plan(source, words.request);
  try {
    require_runnable(plan);
    FAIL() << "expected an error";
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::Skipped);
    EXPECT_THAT(e.what(), HasSubstr("model.layers.0.self_attn.q_proj.weight"));
    EXPECT_THAT(e.what(), HasSubstr("128"));
    EXPECT_THAT(e.what(), HasSubstr("--allow-skipped"));
  }
  words.request.allow_skipped = true;
  plan = make_plan(source, words.request);
  EXPECT_TRUE(plan.problems.empty());
  EXPECT_EQ(find(plan, "model.layers.0.self_attn.q_proj.weight").action,
            Action::Skip);
  const auto config =
      nlohmann::json::parse(output_config_json(source, words.request, plan));
  EXPECT_FALSE(config.contains("quantization_config"))
      << "nothing is quantized, so nothing is claimed";
}

TEST(PlanTest, AShapeThatARuleHitsIsExitTwo) {
  const MemorySource source = llama(1, 96);
  const Words words(
      "int8_weight_only",
      {{rule("re:.*q_proj.*", parse_config_words("int4_weight_only")), 1}});
  const Plan plan = make_plan(source, words.request);
  try {
    require_runnable(plan);
    FAIL() << "expected an error";
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::Usage);
    EXPECT_THAT(e.what(), HasSubstr("q_proj"));
  }
}

TEST(PlanTest, ARuleWithoutATensorIsAnErrorWithASuggestion) {
  const MemorySource source = llama(1, 64);
  const Words words("int8_weight_only",
                    {{rule("model.layers.0.mlp.down_porj", nullptr), 0}});
  const Plan plan = make_plan(source, words.request);
  ASSERT_EQ(plan.problems.size(), 1u);
  EXPECT_EQ(plan.problems[0].kind, ErrorKind::Usage);
  EXPECT_THAT(plan.problems[0].message,
              HasSubstr("did you mean model.layers.0.mlp.down_proj"));
}

TEST(PlanTest, ARuleOnTheTiedHeadUntiesIt) {
  const MemorySource source = llama(1, 64);
  const ConfigPtr int8 = parse_config_words("int8_weight_only");
  const Words words("int8_weight_only", {{rule("lm_head", int8), 1}});
  const Plan plan = make_plan(source, words.request);
  EXPECT_TRUE(plan.problems.empty());
  EXPECT_EQ(find(plan, "lm_head.weight").action, Action::Quantize);
  EXPECT_EQ(find(plan, "model.embed_tokens.weight").action, Action::Keep);
  const auto config =
      nlohmann::json::parse(output_config_json(source, words.request, plan));
  EXPECT_EQ(config["tie_word_embeddings"], false);
  EXPECT_EQ(config["own_field"][1]["a"], 2);
  EXPECT_EQ(config["quantization_config"]["quant_type"]["default"]["_type"],
            "FqnToConfig");
}

TEST(PlanTest, ANullRuleOnTheTiedHeadKeepsTheTie) {
  const MemorySource source = llama(1, 64);
  const Words words("int8_weight_only", {{rule("lm_head", nullptr), 0}});
  const Plan plan = make_plan(source, words.request);
  EXPECT_TRUE(plan.problems.empty());
  EXPECT_EQ(find(plan, "lm_head.weight").action, Action::Tie);
}

TEST(PlanTest, UnknownArchitectureNeedsThePermission) {
  MemorySource source(R"({"architectures": ["OwnModel"]})");
  source.add("block.0.dense.weight", DType::BFloat16, {64, 64});
  source.add("block.0.norm.weight", DType::BFloat16, {64});
  Words words("int8_weight_only");
  Plan plan = make_plan(source, words.request);
  ASSERT_EQ(plan.problems.size(), 1u);
  EXPECT_EQ(plan.problems[0].kind, ErrorKind::Usage);
  EXPECT_THAT(plan.problems[0].message, HasSubstr("OwnModel"));
  words.request.allow_unknown_names = true;
  plan = make_plan(source, words.request);
  EXPECT_TRUE(plan.problems.empty());
  EXPECT_EQ(find(plan, "block.0.dense.weight").action, Action::Quantize);
}

TEST(PlanTest, APatternLeavesNormsAlone) {
  const MemorySource source = llama(1, 64);
  const Words words("",
                    {{rule("re:model\\.layers\\.0\\..*",
                           parse_config_words("int8_weight_only")),
                      1}});
  const Plan plan = make_plan(source, words.request);
  EXPECT_TRUE(plan.problems.empty());
  EXPECT_EQ(find(plan, "model.layers.0.input_layernorm.weight").action,
            Action::Keep);
  EXPECT_EQ(find(plan, "model.layers.0.mlp.down_proj.weight").action,
            Action::Quantize);
}

TEST(PlanTest, EveryShardCarriesTheWholeMetadata) {
  const MemorySource source = llama(2, 64);
  Words words("int8_weight_only");
  words.request.shard_bytes = 10000;
  const Plan plan = make_plan(source, words.request);
  std::set<std::string> metadata;
  for (const Shard& shard : plan.shards) {
    metadata.insert(
        nlohmann::json::parse(shard.header.substr(8))["__metadata__"].dump());
  }
  EXPECT_EQ(metadata.size(), 1u);
  const auto entries = nlohmann::json::parse(*metadata.begin());
  EXPECT_EQ(entries["format"], "pt");
  EXPECT_THAT(entries["tensor_names"].get<std::string>(),
              HasSubstr("model.layers.1.mlp.down_proj.weight"));
  EXPECT_TRUE(nlohmann::json::parse(entries["mantissa"].get<std::string>())
                  .is_object());
}

TEST(PlanTest, APrivateFormatNeedsThePermission) {
  const MemorySource source = llama(1, 128);
  Words words("nf4_weight_only");
  Plan plan = make_plan(source, words.request);
  ASSERT_EQ(plan.problems.size(), 1u);
  EXPECT_EQ(plan.problems[0].kind, ErrorKind::Usage);
  EXPECT_THAT(plan.problems[0].message, HasSubstr("--allow-private-format"));
  words.request.allow_private_format = true;
  plan = make_plan(source, words.request);
  EXPECT_TRUE(plan.problems.empty());
  EXPECT_EQ(find(plan, "model.layers.0.mlp.down_proj.weight").action,
            Action::Quantize);
}

TEST(PlanTest, WarnsOfTheOrderThatTransformersSaves) {
  const MemorySource source = llama(1, 64);
  const ConfigPtr int8 = parse_config_words("int8_weight_only");
  const ConfigPtr float8 = parse_config_words("float8_weight_only");
  Words words("",
              {{rule("re:model.*mlp.*proj", float8), kConfigGroup},
               {rule("re:.*down_proj", int8), kConfigGroup}});
  Plan plan = make_plan(source, words.request);
  EXPECT_TRUE(plan.problems.empty());
  ASSERT_EQ(plan.warnings.size(), 1u);
  EXPECT_THAT(plan.warnings[0], HasSubstr("sorts the keys"));
  EXPECT_THAT(plan.warnings[0], HasSubstr("model.layers.0.mlp.down_proj"));

  words = Words("",
                {{rule("re:.*down_proj", int8), kConfigGroup},
                 {rule("re:model.*mlp.*proj", float8), kConfigGroup}});
  EXPECT_TRUE(make_plan(source, words.request).warnings.empty());
  words.request.sorted_keys = true;
  plan = make_plan(source, words.request);
  ASSERT_EQ(plan.warnings.size(), 1u);
  EXPECT_THAT(plan.warnings[0], HasSubstr("may be lost"));
}

// 65 MB that would be 2.5 million entries of hashes and errors.
TEST(PlanTest, TooManyMatricesAreSkippedWithTheirNumber) {
  MemorySource source("");
  source.add("experts.weight", DType::BFloat16, {65537, 2, 16});
  source.add("fewer.weight", DType::BFloat16, {65536, 2, 16});
  Words words("int8_weight_only");
  words.request.allow_unknown_names = true;
  const Plan plan = make_plan(source, words.request);
  EXPECT_EQ(find(plan, "experts.weight").action, Action::Skip);
  EXPECT_EQ(find(plan, "fewer.weight").action, Action::Quantize);
  ASSERT_EQ(plan.problems.size(), 1u);
  EXPECT_EQ(plan.problems[0].kind, ErrorKind::Skipped);
  EXPECT_THAT(plan.problems[0].message,
              HasSubstr("65537 matrices, at most 65536 are quantized"));
}

TEST(PlanTest, TooManyColumnsAreSkippedWithTheirNumber) {
  MemorySource source("");
  source.add("wide.weight", DType::BFloat16, {2, (1 << 20) + 32});
  Words words("int8_weight_only");
  words.request.allow_unknown_names = true;
  const Plan plan = make_plan(source, words.request);
  EXPECT_EQ(find(plan, "wide.weight").action, Action::Skip);
  ASSERT_EQ(plan.problems.size(), 1u);
  EXPECT_THAT(plan.problems[0].message,
              HasSubstr("1048608 columns, at most 1048576 are quantized"));
}

constexpr std::int64_t kMebibyte = 1 << 20;

// 64 MiB, 16 MiB a worker, 2 KiB a tensor.
TEST(PlanTest, StatesTheMemoryOfARun) {
  const MemorySource source = llama(2, 64);
  Words words("int8_weight_only");
  const auto tensors = static_cast<std::int64_t>(source.tensors().size()) + 1;
  EXPECT_EQ(make_plan(source, words.request).memory_bytes,
            80 * kMebibyte + 2048 * tensors);
  words.request.workers = 2;
  EXPECT_EQ(make_plan(source, words.request).memory_bytes,
            96 * kMebibyte + 2048 * tensors);
}

// Each worker may hold the scales of one tensor, or a scale and a zero point.
TEST(PlanTest, HqqAddsWhatItKeepsOfEachGroup) {
  const std::int64_t groups = 1024 * 1024 / 32;
  MemorySource source("");
  source.add("a.weight", DType::BFloat16, {1024, 1024});
  source.add("b.weight", DType::BFloat16, {512, 1024});
  source.add("c.weight", DType::BFloat16, {256, 1024});
  const auto extra = [&](const std::string& config) {
    Words words(config);
    words.request.allow_unknown_names = true;
    words.request.workers = 2;
    const Plan plan = make_plan(source, words.request);
    EXPECT_TRUE(plan.problems.empty()) << config;
    return plan.memory_bytes - 96 * kMebibyte - 2048 * 3;
  };
  const std::string intx =
      "intx_weight_only:weight_dtype=int4,granularity=PerGroup(32)";
  EXPECT_EQ(extra(intx), 0);
  EXPECT_EQ(extra(intx + ",intx_choose_qparams_algorithm=hqq_scale_only"),
            4 * (groups + groups / 2));
  EXPECT_EQ(extra("int4_weight_only:group_size=32,"
                  "int4_packing_format=tile_packed_to_4d,"
                  "int4_choose_qparams_algorithm=hqq"),
            8 * (groups + groups / 2));
}

TEST(PlanTest, RefusesWhatMayTakeMoreThanIsAllowed) {
  const MemorySource source = llama(2, 64);
  Words words("int8_weight_only");
  words.request.workers = 2;
  words.request.max_memory = 97 * kMebibyte;
  EXPECT_TRUE(make_plan(source, words.request).problems.empty());
  words.request.max_memory = 90 * kMebibyte;
  const Plan plan = make_plan(source, words.request);
  ASSERT_EQ(plan.problems.size(), 1u);
  EXPECT_EQ(plan.problems[0].kind, ErrorKind::Resources);
  EXPECT_THAT(plan.problems[0].message, HasSubstr("with 2 workers"));
  EXPECT_THAT(plan.problems[0].message, HasSubstr("-j 1 takes at most"));
  words.request.max_memory = kMebibyte;
  EXPECT_THAT(make_plan(source, words.request).problems.at(0).message,
              HasSubstr("it needs at least"));
}

}  // namespace
}  // namespace mantissa
