#include "checkpoint/loading_names.h"

#include <chrono>

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <mantissa/core/error.h>

#include "support/cpu_clock.h"
#include "support/memory_source.h"

namespace mantissa {
namespace {

using support::MemorySource;
using testing::HasSubstr;

constexpr DType kBf16 = DType::BFloat16;

const LoadingTensor& tensor(const LoadingNames& names, std::string_view name) {
  for (const LoadingTensor& tensor : names.tensors) {
    if (tensor.name == name) return tensor;
  }
  throw std::runtime_error("no tensor " + std::string(name));
}

std::string message(const CheckpointSource& source) {
  try {
    loading_names(source);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::Input);
    return error.what();
  }
  return "no error";
}

TEST(LoadingNames, UnknownArchitectureKeepsNames) {
  for (const char* config :
       {"",
        R"({"architectures": ["PhiForCausalLM"], "model_type": "phi"})",
        R"({"architectures": ["NewForCausalLM"], "model_type": "llama"})",
        "{}"}) {
    MemorySource source(config);
    source.add("model.layers.0.self_attn.q_proj.weight", kBf16, {4, 4});
    const LoadingNames names = loading_names(source);
    EXPECT_FALSE(names.known);
    ASSERT_EQ(names.tensors.size(), 1U);
    EXPECT_EQ(names.tensors[0].name, source.tensors()[0].name);
    EXPECT_EQ(names.tensors[0].role, TensorRole::Unknown);
    EXPECT_EQ(names.embedding, "");
  }
}

TEST(LoadingNames, RefusesConfigThatIsNoObject) {
  EXPECT_THAT(message(MemorySource("[1")), HasSubstr("config.json"));
  EXPECT_THAT(message(MemorySource("[]")), HasSubstr("config.json"));
}

TEST(LoadingNames, UnknownNamesOfAKnownArchitecture) {
  MemorySource source(
      R"({"architectures": ["LlamaForCausalLM"], "num_hidden_layers": 2})");
  source.add("model.layers.1.mlp.up_proj.weight", kBf16, {4, 4});
  source.add("model.layers.2.mlp.up_proj.weight", kBf16, {4, 4});
  source.add("model.layers.01.mlp.up_proj.weight", kBf16, {4, 4});
  source.add("model.layers.x.mlp.up_proj.weight", kBf16, {4, 4});
  source.add("model.layers.1.mlp.up_proj.lora_A", kBf16, {4, 4});
  source.add("model.model.layers.1.mlp.up_proj.weight", kBf16, {4, 4});
  const LoadingNames names = loading_names(source);
  EXPECT_TRUE(names.known);
  ASSERT_EQ(names.tensors.size(), 6U);
  EXPECT_EQ(names.tensors[0].role, TensorRole::Linear);
  for (std::size_t i = 1; i < 6; ++i) {
    EXPECT_EQ(names.tensors[i].role, TensorRole::Unknown) << i;
    EXPECT_EQ(names.tensors[i].name, source.tensors()[i].name);
  }
}

TEST(LoadingNames, TieFollowsConfigElseClassDefault) {
  struct Case {
    const char* config;
    bool tied;
  };
  for (const Case& c : {
           Case{R"({"model_type": "llama"})", false},
           Case{R"({"model_type": "llama", "tie_word_embeddings": true})",
                true},
           Case{R"({"model_type": "gemma"})", true},
           Case{R"({"model_type": "gemma", "tie_word_embeddings": false})",
                false},
           Case{R"({"model_type": "gemma2", "tie_word_embeddings": null})",
                true},
       }) {
    MemorySource source(c.config);
    source.add("model.embed_tokens.weight", kBf16, {8, 4});
    const LoadingNames names = loading_names(source);
    EXPECT_EQ(names.tied_embeddings, c.tied) << c.config;
    EXPECT_EQ(names.embedding, "model.embed_tokens.weight");
    ASSERT_EQ(names.tensors.size(), c.tied ? 2U : 1U) << c.config;
    if (!c.tied) continue;
    const LoadingTensor& head = names.tensors[1];
    EXPECT_EQ(head.name, "lm_head.weight");
    EXPECT_TRUE(head.tied);
    EXPECT_EQ(head.role, TensorRole::Head);
    EXPECT_EQ(head.shape, (Shape{8, 4}));
    ASSERT_EQ(head.pieces.size(), 1U);
    EXPECT_EQ(head.pieces[0].source, 0U);
  }
}

TEST(LoadingNames, HeadInTheFileIsNotAddedAgain) {
  MemorySource source(R"({"model_type": "gemma"})");
  source.add("model.embed_tokens.weight", kBf16, {8, 4});
  source.add("lm_head.weight", kBf16, {8, 4});
  const LoadingNames names = loading_names(source);
  ASSERT_EQ(names.tensors.size(), 2U);
  EXPECT_EQ(names.tensors[1].role, TensorRole::Head);
  EXPECT_FALSE(names.tensors[1].tied);
  EXPECT_TRUE(names.tied_embeddings);
}

MemorySource mixtral(int experts, std::string_view config_experts) {
  MemorySource source(fmt::format(
      R"({{"architectures": ["MixtralForCausalLM"]{}}})", config_experts));
  for (int e = experts - 1; e >= 0; --e) {
    const std::string at =
        fmt::format("model.layers.3.block_sparse_moe.experts.{}.", e);
    source.add(at + "w1.weight", kBf16, {6, 4});
    source.add(at + "w2.weight", kBf16, {4, 6});
    source.add(at + "w3.weight", kBf16, {6, 4});
  }
  source.add("model.layers.3.block_sparse_moe.gate.weight", kBf16, {2, 4});
  return source;
}

TEST(LoadingNames, FusesExpertsGateRowsFirst) {
  const LoadingNames names =
      loading_names(mixtral(2, R"(, "num_local_experts": 2)"));
  ASSERT_EQ(names.tensors.size(), 3U);
  const LoadingTensor& gate_up = names.tensors[0];
  EXPECT_EQ(gate_up.name, "model.layers.3.mlp.experts.gate_up_proj");
  EXPECT_EQ(gate_up.role, TensorRole::Experts);
  EXPECT_EQ(gate_up.shape, (Shape{2, 12, 4}));
  ASSERT_EQ(gate_up.pieces.size(), 4U);
  // Stored: w1, w2, w3 of expert 1, then of expert 0.
  const std::size_t order[] = {3, 5, 0, 2};
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(gate_up.pieces[i].source, order[i]);
    EXPECT_EQ(gate_up.pieces[i].matrix, static_cast<std::int64_t>(i / 2));
    EXPECT_EQ(gate_up.pieces[i].row, i % 2 == 0 ? 0 : 6);
  }
  const LoadingTensor& down = names.tensors[1];
  EXPECT_EQ(down.name, "model.layers.3.mlp.experts.down_proj");
  EXPECT_EQ(down.shape, (Shape{2, 4, 6}));
  EXPECT_EQ(down.pieces.size(), 2U);
  EXPECT_EQ(tensor(names, "model.layers.3.mlp.gate.weight").role,
            TensorRole::Router);
}

TEST(LoadingNames, NamesTheExpertThatIsMissing) {
  EXPECT_THAT(message(mixtral(2, R"(, "num_local_experts": 3)")),
              HasSubstr("model.layers.3.block_sparse_moe.experts.2.w1.weight: "
                        "missing"));
  EXPECT_THAT(message(mixtral(2, R"(, "num_local_experts": 1)")),
              HasSubstr("experts.1.w1.weight: expert 1, but config.json says "
                        "1 experts"));
  MemorySource hole = mixtral(2, "");
  const std::string at = "model.layers.3.block_sparse_moe.experts.";
  hole.add(at + "3.w2.weight", kBf16, {4, 6});
  EXPECT_THAT(message(hole), HasSubstr(at + "2.w2.weight: missing"));
  MemorySource half = mixtral(2, "");
  half.add(at + "2.w1.weight", kBf16, {6, 4});
  EXPECT_THAT(message(half), HasSubstr(at + "2.w3.weight: missing"));
  MemorySource far = mixtral(2, "");
  far.add(at + "999999999.w1.weight", kBf16, {6, 4});
  EXPECT_THAT(message(far), HasSubstr(at + "2.w1.weight: missing"));
}

TEST(LoadingNames, NamesTheExpertThatDoesNotFit) {
  const std::string at = "model.layers.3.block_sparse_moe.experts.2.";
  MemorySource shape = mixtral(2, "");
  shape.add(at + "w2.weight", kBf16, {4, 7});
  EXPECT_THAT(message(shape),
              AllOf(HasSubstr(at + "w2.weight"),
                    HasSubstr("[4, 7]"),
                    HasSubstr("[4, 6]")));
  MemorySource dtype = mixtral(2, "");
  dtype.add(at + "w2.weight", DType::Float16, {4, 6});
  EXPECT_THAT(message(dtype),
              AllOf(HasSubstr(at + "w2.weight"), HasSubstr("float16")));
  MemorySource rank(R"({"model_type": "mixtral"})");
  rank.add("model.layers.0.block_sparse_moe.experts.0.w2.weight", kBf16, {4});
  EXPECT_THAT(message(rank), HasSubstr("expected a matrix"));
}

TEST(LoadingNames, RefusesTwoTensorsForOneName) {
  MemorySource source(R"({"model_type": "llama"})");
  source.add("model.norm.weight", kBf16, {4}).add("norm.weight", kBf16, {4});
  EXPECT_THAT(message(source),
              HasSubstr("model.norm.weight: two tensors of the checkpoint"));
  MemorySource twice = mixtral(2, "");
  twice.add("layers.3.block_sparse_moe.experts.1.w2.weight", kBf16, {4, 6});
  EXPECT_THAT(message(twice), HasSubstr("twice"));
  MemorySource both = mixtral(2, "");
  both.add("model.layers.3.mlp.experts.down_proj", kBf16, {2, 4, 6});
  EXPECT_THAT(message(both), HasSubstr("two tensors of the checkpoint"));
}

TEST(LoadingNames, HundredThousandNamesInTime) {
  MemorySource source(R"({"model_type": "mixtral", "num_local_experts": 128})");
  for (int layer = 0; source.tensors().size() < 100'000; ++layer) {
    for (int e = 0; e < 128; ++e) {
      const std::string at =
          fmt::format("model.layers.{}.block_sparse_moe.experts.{}.", layer, e);
      source.add(at + "w1.weight", kBf16, {6, 4});
      source.add(at + "w2.weight", kBf16, {4, 6});
      source.add(at + "w3.weight", kBf16, {6, 4});
    }
  }
  const auto start = support::CpuClock::now();
  const LoadingNames names = loading_names(source);
  const std::chrono::duration<double> took = support::CpuClock::now() - start;
  EXPECT_EQ(names.tensors.size(), source.tensors().size() / 192);
  RecordProperty("seconds", std::to_string(took.count()));
  EXPECT_LT(took.count(), 2.0);  // measured: 0.1 s; machines are shared
}

}  // namespace
}  // namespace mantissa
