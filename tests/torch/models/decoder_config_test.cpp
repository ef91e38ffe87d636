#include <mantissa/torch/decoder_config.h>

#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <mantissa/core/error.h>

#include "torch/refusal.h"

namespace mantissa {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using Json = nlohmann::json;
using tests::refusal;

Json base(const char* model_type) {
  return {{"model_type", model_type},
          {"vocab_size", 96},
          {"hidden_size", 64},
          {"intermediate_size", 128},
          {"num_hidden_layers", 4},
          {"num_attention_heads", 4},
          {"num_key_value_heads", 2},
          {"max_position_embeddings", 64}};
}

Json with(Json config, const Json& more) {
  config.update(more);
  return config;
}

DecoderConfig read(const Json& config) {
  return read_decoder_config(config.dump());
}

std::string refused(const Json& config, ErrorKind kind) {
  try {
    read(config);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "nothing was refused";
  return {};
}

std::string unsupported(const Json& config) {
  return refused(config, ErrorKind::Usage);
}
std::string malformed(const Json& config) {
  return refused(config, ErrorKind::Input);
}

TEST(DecoderConfigTest, RefusesOtherFamiliesByName) {
  EXPECT_THAT(unsupported(base("phi3")),
              HasSubstr("model_type \"phi3\" is not supported as a decoder; "
                        "supported: llama, qwen2, qwen3, mistral, gemma, "
                        "gemma2, gemma3_text, mixtral, qwen3_moe"));
  EXPECT_THAT(unsupported(base("gemma3")),
              HasSubstr("save its language model alone as Gemma3ForCausalLM"));
  EXPECT_THAT(unsupported(with(
                  base("llama"),
                  {{"architectures", {"LlamaForSequenceClassification"}}})),
              HasSubstr("supported for model_type llama: LlamaForCausalLM"));
}

TEST(DecoderConfigTest, RefusesVariantsByName) {
  const Json dynamic = {
      {"rope_parameters", {{"rope_type", "dynamic"}, {"factor", 2}}}};
  EXPECT_THAT(unsupported(with(base("llama"), dynamic)),
              HasSubstr("rope type \"dynamic\" is not supported; supported: "
                        "default, linear, llama3, yarn"));
  EXPECT_THAT(
      unsupported(with(base("llama"), {{"partial_rotary_factor", 0.5}})),
      HasSubstr("partial_rotary_factor 0.5"));
  EXPECT_THAT(unsupported(with(base("llama"), {{"hidden_act", "relu"}})),
              HasSubstr("hidden_act \"relu\" is not supported; supported: "
                        "silu, gelu, gelu_pytorch_tanh"));
  EXPECT_THAT(unsupported(with(base("gemma3_text"),
                               {{"use_bidirectional_attention", true}})),
              HasSubstr("causal decoders"));
  EXPECT_THAT(unsupported(with(base("qwen2"),
                               {{"layer_types", {"chunked", "a", "b", "c"}}})),
              HasSubstr("layer type \"chunked\""));
}

TEST(DecoderConfigTest, NamesTheMalformedKey) {
  Json config = base("llama");
  config.erase("hidden_size");
  EXPECT_THAT(malformed(config),
              HasSubstr("config.json: hidden_size: expected a positive "
                        "integer, got nothing"));
  for (const double eps : {-1.0, 2.0, 1e300}) {
    EXPECT_THAT(malformed(with(base("llama"), {{"rms_norm_eps", eps}})),
                HasSubstr("rms_norm_eps: expected a number from 0 to 1, got"));
  }
  EXPECT_THAT(malformed(with(base("llama"), {{"rms_norm_eps", "x"}})),
              HasSubstr("rms_norm_eps: expected a number, got \"x\""));
  EXPECT_THAT(malformed(with(base("llama"), {{"num_key_value_heads", 3}})),
              HasSubstr("num_attention_heads 4 is not a multiple of "
                        "num_key_value_heads 3"));
  EXPECT_THAT(
      malformed(with(base("qwen2"), {{"layer_types", {"full_attention"}}})),
      HasSubstr("expected 4 words (= num_hidden_layers), got 1"));
  const Json llama3 = {{"rope_scaling", {{"type", "llama3"}, {"factor", 8}}}};
  EXPECT_THAT(malformed(with(base("llama"), llama3)),
              HasSubstr("rope_scaling.low_freq_factor: expected a number"));
  EXPECT_THAT(
      malformed(with(base("mixtral"),
                     {{"num_local_experts", 2}, {"num_experts_per_tok", 3}})),
      HasSubstr("num_experts_per_tok 3 is more than "
                "num_local_experts 2"));
}

// A size beyond any model is refused by its key, before anything of its size
// is made.
TEST(DecoderConfigTest, BoundsSizes) {
  constexpr std::int64_t kHuge = std::int64_t{1} << 31;
  const std::map<std::string, std::int64_t> most = {
      {"hidden_size", 1 << 20},
      {"intermediate_size", 1 << 22},
      {"num_attention_heads", 1 << 16},
      {"head_dim", 1 << 16},
      {"vocab_size", kHuge},
      {"max_position_embeddings", kHuge},
  };
  for (const auto& [key, limit] : most) {
    SCOPED_TRACE(key);
    // All heads have keys of their own, so that any number of them divides.
    const Json own = with(
        base("llama"), {{"num_key_value_heads", nullptr}, {"head_dim", 16}});
    EXPECT_NO_THROW(read(with(own, {{key, limit}})));
    for (const std::int64_t size : {limit + 2, 4 * limit}) {
      EXPECT_THAT(
          malformed(with(own, {{key, size}})),
          AllOf(HasSubstr("config.json: " + key + ": expected at most " +
                          std::to_string(limit) + ", got " +
                          std::to_string(size)),
                HasSubstr("use the config.json that was saved with the "
                          "weights")));
    }
  }
  const Json moe = with(base("qwen3_moe"),
                        {{"num_experts", 8}, {"moe_intermediate_size", 32}});
  EXPECT_NO_THROW(read(moe));
  EXPECT_THAT(malformed(with(moe, {{"num_experts", kHuge}})),
              HasSubstr("num_experts: expected at most 65536, got 2147483648"));
  EXPECT_THAT(malformed(with(moe, {{"moe_intermediate_size", kHuge}})),
              HasSubstr("moe_intermediate_size: expected at most 4194304"));
}

TEST(DecoderConfigTest, BoundsAHeadThatFollowsFromTheSizes) {
  EXPECT_THAT(malformed(with(base("llama"),
                             {{"hidden_size", 1 << 20},
                              {"num_attention_heads", 1},
                              {"num_key_value_heads", 1}})),
              HasSubstr("hidden_size 1048576 / num_attention_heads 1 makes "
                        "heads of 1048576 values: expected at most 65536"));
}

// Absent takes the default of the class; null means none.
TEST(DecoderConfigTest, TellsNullFromAbsent) {
  EXPECT_EQ(read(base("mistral")).layers[0].window, 4096);
  EXPECT_EQ(read(with(base("mistral"), {{"sliding_window", nullptr}}))
                .layers[0]
                .window,
            0);
  EXPECT_EQ(read(base("gemma2")).attention_cap, 50);
  EXPECT_EQ(read(base("gemma2")).final_cap, 30);
  const DecoderConfig none = read(with(base("gemma2"),
                                       {{"attn_logit_softcapping", nullptr},
                                        {"final_logit_softcapping", nullptr}}));
  EXPECT_EQ(none.attention_cap, 0);
  EXPECT_EQ(none.final_cap, 0);
  EXPECT_EQ(read(base("qwen3")).head_dim, 128);
  EXPECT_EQ(read(with(base("qwen3"), {{"head_dim", nullptr}})).head_dim, 16);
  EXPECT_EQ(read(base("qwen2")).layers[3].window, 0);
  EXPECT_TRUE(read(base("gemma")).tied);
  EXPECT_FALSE(read(base("llama")).tied);
}

TEST(DecoderConfigTest, GivesLayersTheirWindowsAndRopes) {
  const DecoderConfig qwen = read(with(base("qwen2"),
                                       {{"use_sliding_window", true},
                                        {"max_window_layers", 2},
                                        {"sliding_window", 7}}));
  EXPECT_EQ(qwen.layers[1].window, 0);
  EXPECT_EQ(qwen.layers[2].window, 7);
  const DecoderConfig gemma2 =
      read(with(base("gemma2"), {{"sliding_window", 5}}));
  EXPECT_EQ(gemma2.layers[0].window, 5);
  EXPECT_EQ(gemma2.layers[1].window, 0);
  const DecoderConfig gemma3 = read(with(
      base("gemma3_text"), {{"num_hidden_layers", 7}, {"sliding_window", 5}}));
  EXPECT_EQ(gemma3.layers[4].window, 5);
  EXPECT_EQ(gemma3.layers[5].window, 0);
  EXPECT_EQ(gemma3.ropes[gemma3.layers[4].rope].theta, 1e4);
  EXPECT_EQ(gemma3.ropes[gemma3.layers[5].rope].theta, 1e6);
  const Json moe = {{"num_experts", 4},
                    {"num_experts_per_tok", 2},
                    {"moe_intermediate_size", 32},
                    {"decoder_sparse_step", 2},
                    {"mlp_only_layers", {3}}};
  const DecoderConfig qwen_moe = read(with(base("qwen3_moe"), moe));
  EXPECT_FALSE(qwen_moe.layers[0].experts);
  EXPECT_TRUE(qwen_moe.layers[1].experts);
  EXPECT_FALSE(qwen_moe.layers[3].experts);
  EXPECT_FALSE(qwen_moe.experts.normalize);
}

}  // namespace
}  // namespace mantissa
