#include "torch/checkpoint/checkpoint_weights.h"

#include <fstream>
#include <iterator>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>
#include <nlohmann/json.hpp>

#include <mantissa/torch/quantized_tensor.h>

#include "support/exchange.h"
#include "support/raw_gguf.h"
#include "support/run_tool.h"
#include "support/small_model.h"
#include "support/temp_dir.h"
#include "torch/refusal.h"
#include "torch/tensor/host_tensors.h"

namespace mantissa {
namespace {

using support::run_tool;
using support::TempDir;
using ::testing::AllOf;
using ::testing::HasSubstr;
using tests::refusal;

using Json = nlohmann::ordered_json;

// A small model and what the tool makes of it.
class CheckpointWeightsTest : public ::testing::Test {
 protected:
  void SetUp() override { support::write_small_model(dir_.path() / "in", 1); }

  std::filesystem::path run(std::vector<std::string> arguments) {
    const std::filesystem::path out = dir_.path() / "out";
    arguments.insert(arguments.begin(), {"quantize", (dir_.path() / "in")});
    arguments.insert(arguments.end(), {"-o", out});
    const support::ToolResult result = run_tool(arguments);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return out;
  }

  // A file's tensor, as the judge's helper reads it.
  static at::Tensor stored(const std::filesystem::path& dir,
                           const std::string& name) {
    return from_host(support::load_tensors(dir / "model.safetensors").at(name));
  }

  static constexpr const char* kQ = "model.layers.0.self_attn.q_proj.weight";
  TempDir dir_;
};

TEST_F(CheckpointWeightsTest, PlainWeightsAreTheFilesBytes) {
  const CheckpointWeights weights(dir_.path() / "in");
  const CheckpointWeight* q = weights.find(kQ);
  ASSERT_NE(q, nullptr);
  EXPECT_EQ(q->stored, "BF16");
  EXPECT_EQ(q->role, TensorRole::Linear);
  const at::Tensor read = weights.read(*q);
  EXPECT_FALSE(is_quantized_tensor(read));
  EXPECT_TRUE(torch::equal(read, stored(dir_.path() / "in", kQ)));
  const CheckpointWeight* norm = weights.find("model.norm.weight");
  ASSERT_NE(norm, nullptr);
  EXPECT_EQ(weights.read(*norm).sizes(), std::vector<std::int64_t>{64});
  EXPECT_EQ(weights.find("model.layers.7.mlp"), nullptr);
  EXPECT_EQ(weights.architecture(), "LlamaForCausalLM");
}

TEST_F(CheckpointWeightsTest, ATiedHeadIsTheEmbedding) {
  const CheckpointWeights weights(dir_.path() / "in");
  EXPECT_TRUE(weights.tied_embeddings());
  const CheckpointWeight* head = weights.find("lm_head.weight");
  ASSERT_NE(head, nullptr);
  EXPECT_TRUE(head->tied);
  EXPECT_EQ(head->bytes, 0);
  EXPECT_TRUE(
      torch::equal(weights.read(*head),
                   weights.read(*weights.find("model.embed_tokens.weight"))));
}

TEST_F(CheckpointWeightsTest, TorchaoFieldsBecomeQuantizedTensors) {
  const auto out = run({"-c", "int8_weight_only"});
  const CheckpointWeights weights(out);
  const CheckpointWeight* q = weights.find(kQ);
  ASSERT_NE(q, nullptr);
  EXPECT_EQ(q->stored, "Int8Tensor");
  const at::Tensor read = weights.read(*q);
  ASSERT_TRUE(is_quantized_tensor(read));
  EXPECT_EQ(read.scalar_type(), c10::kBFloat16);
  EXPECT_TRUE(torch::equal(
      fields_of(read)[0],
      stored(out, "model.layers.0.self_attn.q_proj._weight_qdata")));
  EXPECT_TRUE(
      torch::equal(mantissa::dequantize(read), weights.read_values(*q)));
  EXPECT_FALSE(
      is_quantized_tensor(weights.read(*weights.find("model.norm.weight"))));
}

TEST_F(CheckpointWeightsTest, CompressedTensorsTooWithItsOwnFields) {
  const auto out = run({"--scheme", "W4A16", "--group-size", "32"});
  const CheckpointWeights weights(out);
  const CheckpointWeight* q = weights.find(kQ);
  ASSERT_NE(q, nullptr);
  const at::Tensor read = weights.read(*q);
  ASSERT_TRUE(is_quantized_tensor(read));
  EXPECT_TRUE(
      torch::equal(mantissa::dequantize(read), weights.read_values(*q)));
  EXPECT_EQ(weights.source().config_json().find("quantization_config"),
            std::string::npos);
}

// What its config.json asks for beside products of quantized weights.
class SchemesWithoutProductsTest : public CheckpointWeightsTest {
 protected:
  // "" or why a directory whose config.json has these members is not run.
  std::string refused(const std::filesystem::path& dir, const Json& members) {
    Json config = Json::parse(contents(dir / "config.json"));
    Json& quantization = config["quantization_config"];
    if (quantization.is_null()) {
      quantization = {{"quant_method", "compressed-tensors"},
                      {"format", "dense"},
                      {"config_groups", Json::object()}};
    }
    quantization.update(members);
    std::ofstream(dir / "config.json") << config.dump();
    std::string what;
    try {
      const CheckpointWeights weights(dir);
    } catch (const std::exception& error) {
      what = error.what();
    }
    // The tool reads it all the same.
    const support::ToolResult read = run_tool({"inspect", dir});
    EXPECT_EQ(read.exit_code, 0) << read.err;
    return what;
  }

  static std::string contents(const std::filesystem::path& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  // Activations of these targets, and weights as they are.
  static Json alone(const std::vector<std::string>& targets,
                    const std::string& key = "input_activations") {
    Json group = {{"targets", targets}, {"weights", nullptr}};
    group[key] = {{"num_bits", 8}, {"strategy", "token"}, {"dynamic", true}};
    return {{"config_groups", {{"group_0", group}}}};
  }
};

TEST_F(SchemesWithoutProductsTest, ACacheOfCodesIsRefused) {
  const auto out = run({"--scheme", "W4A16", "--group-size", "32"});
  EXPECT_EQ(refused(out, {{"kv_cache_scheme", nullptr}}), "");
  const std::string what =
      refused(out, {{"kv_cache_scheme", {{"num_bits", 8}, {"type", "float"}}}});
  EXPECT_THAT(what, HasSubstr("kv_cache_scheme is set"));
  EXPECT_THAT(what, HasSubstr("mantissa convert --format plain"));
}

TEST_F(SchemesWithoutProductsTest, RotationsAroundLayersAreRefused) {
  const auto out = run({"--scheme", "W4A16", "--group-size", "32"});
  EXPECT_EQ(refused(out, {{"transform_config", nullptr}}), "");
  EXPECT_EQ(refused(out, {{"transform_config", Json::object()}}), "");
  EXPECT_EQ(
      refused(out, {{"transform_config", {{"config_groups", Json::object()}}}}),
      "");
  const Json scheme = {{"type", "hadamard"}, {"apply", Json::array()}};
  const Json members = {
      {"transform_config", {{"config_groups", {{"R1", scheme}}}}}};
  EXPECT_THAT(refused(out, members), HasSubstr("transform_config has schemes"));
  const support::ToolResult converted = run_tool(
      {"convert", out, "--format", "plain", "-o", dir_.path() / "plain"});
  EXPECT_EQ(converted.exit_code, 2);
  EXPECT_THAT(converted.err, HasSubstr("transform_config has schemes"));
}

TEST_F(SchemesWithoutProductsTest, ActivationsOfPlainWeightsAreRefused) {
  const auto in = dir_.path() / "in";
  const Json none = {{"ignore", Json::array()}};
  Json members = alone({"Linear"});
  members["ignore"] = {"lm_head"};
  EXPECT_THAT(refused(in, members),
              AllOf(HasSubstr("model.layers.0."),
                    HasSubstr(".weight\": config_groups: input_activations of "
                              "a scheme whose weights are null"),
                    HasSubstr("mantissa convert --format plain")));
  // The head is tied: its own name is what ignore says.
  members["ignore"] = {"re:model.*"};
  EXPECT_THAT(refused(in, members), HasSubstr("\"lm_head.weight\""));
  members["ignore"] = {"re:model.*", "lm_head"};
  EXPECT_EQ(refused(in, members), "");
  members = alone({"re:.*down_proj"}, "output_activations");
  members.update(none);
  EXPECT_THAT(refused(in, members),
              AllOf(HasSubstr("\"model.layers.0.mlp.down_proj.weight\""),
                    HasSubstr("output_activations of")));
  members = alone({"re:.*self_attn$"});
  members.update(none);
  EXPECT_THAT(refused(in, members),
              HasSubstr("module \"model.layers.0.self_attn\""));
  members = alone({"LlamaAttention"});
  EXPECT_THAT(refused(in, members), HasSubstr("target \"LlamaAttention\""));
  members = alone({"re:.*norm", "other"});
  EXPECT_EQ(refused(in, members), "");
}

TEST_F(CheckpointWeightsTest, WhatCannotBeOpenedIsRefused) {
  EXPECT_THAT(refusal([&] { CheckpointWeights(dir_.path() / "none"); }),
              HasSubstr("no such file"));
}

// One block of 32 codes with d = 0.5: code i is i - 8 (Q4_0), d * code.
std::string q4_0_blocks(int count) {
  std::string block = support::raw<std::uint16_t>(0x3800);
  for (int i = 0; i < 16; ++i) {
    block += static_cast<char>(i | (15 - i) << 4);
  }
  std::string all;
  for (int i = 0; i < count; ++i) all += block;
  return all;
}

TEST_F(CheckpointWeightsTest, GgufBlocksAreDecodedOrKept) {
  auto file = support::RawGguf::tiny_llama();
  file.set_tensor("blk.0.ffn_down.weight", 2, {96, 64}, q4_0_blocks(3 * 64));
  const auto path = dir_.write("tiny.gguf", file.bytes());
  const CheckpointWeights decoded(path, {.open = {.dtype = DType::Float32}});
  const CheckpointWeights kept(
      path, {.open = {.dtype = DType::Float32}, .blocks = GgufBlocks::Keep});
  const std::string name = "model.layers.0.mlp.down_proj.weight";
  const at::Tensor plain = decoded.read(*decoded.find(name));
  const at::Tensor quantized = kept.read(*kept.find(name));
  EXPECT_FALSE(is_quantized_tensor(plain));
  ASSERT_TRUE(is_quantized_tensor(quantized));
  EXPECT_EQ(plain[5][3].item<float>(), -2.5F);  // 0.5 * (3 - 8)
  EXPECT_EQ(plain[5][16].item<float>(), 3.5F);  // 0.5 * (15 - 8)
  EXPECT_TRUE(torch::equal(mantissa::dequantize(quantized), plain));
  EXPECT_FALSE(is_quantized_tensor(
      kept.read(*kept.find("model.layers.0.mlp.up_proj.weight"))));
}

TEST_F(CheckpointWeightsTest, ExpertsComeFused) {
  std::map<std::string, HostTensor> tensors = {
      {"model.embed_tokens.weight", HostTensor(DType::Float32, {8, 4})}};
  const std::string moe = "model.layers.0.block_sparse_moe.";
  float value = 0;
  for (int e = 0; e < 2; ++e) {
    for (const char* part : {"w1", "w2", "w3"}) {
      const Shape shape = part[1] == '2' ? Shape{4, 6} : Shape{6, 4};
      HostTensor w(DType::Float32, shape);
      for (int i = 0; i < 24; ++i) w.as<float>()[i] = value++;
      tensors.emplace(
          moe + "experts." + std::to_string(e) + "." + part + ".weight", w);
    }
  }
  std::filesystem::create_directories(dir_.path() / "moe");
  support::save_tensors(dir_.path() / "moe/model.safetensors", tensors);
  dir_.write("moe/config.json",
             R"({"architectures": ["MixtralForCausalLM"],
                 "model_type": "mixtral", "num_local_experts": 2,
                 "num_hidden_layers": 1})");
  const CheckpointWeights weights(dir_.path() / "moe");
  const CheckpointWeight* gate_up =
      weights.find("model.layers.0.mlp.experts.gate_up_proj");
  ASSERT_NE(gate_up, nullptr);
  const at::Tensor read = weights.read(*gate_up);
  EXPECT_EQ(read.sizes(), (std::vector<std::int64_t>{2, 12, 4}));
  // Gate (w1) rows first: expert 1's w1 starts at 72, its w3 at 120.
  EXPECT_EQ(read[1][0][0].item<float>(), 72);
  EXPECT_EQ(read[1][6][0].item<float>(), 120);
}

}  // namespace
}  // namespace mantissa
