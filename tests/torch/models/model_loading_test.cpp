#include <mantissa/torch/model_loading.h>

#include <fstream>
#include <limits>
#include <map>

#include <ATen/ops/full.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <mantissa/core/error.h>
#include <mantissa/core/tensor_view.h>
#include <mantissa/torch/generation.h>
#include <mantissa/torch/perplexity.h>
#include <mantissa/torch/sentence_encoder.h>

#include "core/process_memory.h"
#include "support/exchange.h"
#include "support/temp_dir.h"
#include "torch/refusal.h"

namespace mantissa {
namespace {

using ::testing::HasSubstr;
using Json = nlohmann::json;

constexpr std::int64_t kVocabulary = 24;
constexpr std::int64_t kHidden = 16;
constexpr std::int64_t kWide = 32;

HostTensor values(Shape shape, int seed) {
  HostTensor tensor(DType::Float32, std::move(shape));
  for (std::int64_t i = 0; i < tensor.numel(); ++i) {
    tensor.as<float>()[i] = static_cast<float>((i * 7 + seed) % 11 - 5) / 16;
  }
  return tensor;
}

// A whole Llama of one layer, tied.
template <class Act>
std::string thrown(ErrorKind kind, const Act& act) {
  try {
    act();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "nothing was refused";
  return {};
}

class ModelLoadingTest : public ::testing::Test {
 protected:
  void SetUp() override {
    config_ = {{"architectures", {"LlamaForCausalLM"}},
               {"model_type", "llama"},
               {"vocab_size", kVocabulary},
               {"hidden_size", kHidden},
               {"intermediate_size", kWide},
               {"num_hidden_layers", 1},
               {"num_attention_heads", 2},
               {"max_position_embeddings", 64},
               {"tie_word_embeddings", true}};
    add("model.embed_tokens.weight", {kVocabulary, kHidden});
    add("model.norm.weight", {kHidden});
    const std::string layer = "model.layers.0.";
    add(layer + "input_layernorm.weight", {kHidden});
    add(layer + "post_attention_layernorm.weight", {kHidden});
    for (const char* name : {"q", "k", "v", "o"}) {
      add(layer + "self_attn." + name + "_proj.weight", {kHidden, kHidden});
    }
    add(layer + "mlp.gate_proj.weight", {kWide, kHidden});
    add(layer + "mlp.up_proj.weight", {kWide, kHidden});
    add(layer + "mlp.down_proj.weight", {kHidden, kWide});
  }

  void add(const std::string& name, Shape shape) {
    tensors_[name] =
        values(std::move(shape), static_cast<int>(tensors_.size()));
  }

  std::filesystem::path save() const {
    std::ofstream(dir_.path() / "config.json") << config_;
    support::save_tensors(dir_.path() / "model.safetensors", tensors_);
    return dir_.path();
  }

  std::string refused(ErrorKind kind, const ModelOptions& options = {}) const {
    return thrown(kind, [&] { load_decoder(save(), options); });
  }

  support::TempDir dir_;
  Json config_;
  std::map<std::string, HostTensor> tensors_;
};

TEST_F(ModelLoadingTest, LoadsTiedWeightsOnce) {
  const auto model = load_decoder(save());
  const auto names = model->named_parameters();
  EXPECT_TRUE(
      names["lm_head.weight"].is_same(names["model.embed_tokens.weight"]));
  for (const auto& item : names) {
    EXPECT_FALSE(item.value().is_meta()) << item.key();
    EXPECT_FALSE(item.value().requires_grad()) << item.key();
  }
}

TEST_F(ModelLoadingTest, PlansWeightsAndCacheBeforeLoading) {
  ModelOptions options;
  options.context = 32;
  const DecoderCheckpoint checkpoint(save(), options);
  std::int64_t values = 0;
  for (const auto& [name, tensor] : tensors_) values += tensor.numel();
  EXPECT_EQ(checkpoint.plan().weights, 4 * values);
  // Keys and values, 1 layer, 32 positions, 2 heads of 8, 4 bytes.
  EXPECT_EQ(checkpoint.plan().cache, 2 * 32 * 16 * 4);
  EXPECT_EQ(checkpoint.plan().cache,
            checkpoint.load()->make_cache(1, 32).nbytes());
  options.cache_dtype = at::kChar;
  const DecoderCheckpoint narrow(save(), options);
  EXPECT_EQ(narrow.plan().cache, 2 * 32 * 2 * (8 + 4));
  EXPECT_EQ(narrow.plan().cache,
            narrow.load()->make_cache(1, 32, at::kChar).nbytes());
  options.cache_dtype = std::nullopt;
  options.max_memory = checkpoint.plan().total() - 1;
  EXPECT_THAT(refused(ErrorKind::Resources, options),
              HasSubstr("use a shorter context"));
  options.max_memory = checkpoint.plan().total();
  EXPECT_NO_THROW(load_decoder(save(), options));
}

// A model's vocabulary is padded beyond that of its tokenizer.
TEST_F(ModelLoadingTest, DrawsOnlyIdsThatTheTokenizerHas) {
  const auto model = load_decoder(save(), {});
  const std::vector<std::int64_t> prompt = {1, kVocabulary - 1};
  GenerationOptions options;
  options.sampling.temperature = 50;
  options.sampling.repetition_penalty = 1.5;
  options.max_new_tokens = 10;
  options.vocabulary = 3;
  KvCache cache = model->make_cache(1, 12);
  for (const std::int64_t id :
       generate(*model, cache, prompt, options).tokens) {
    EXPECT_LT(id, 3);
  }
}

// Nothing scored, or nothing finite, is no perplexity.
TEST_F(ModelLoadingTest, PerplexitySaysWhatItDidUntilAnInterruption) {
  const auto model = load_decoder(save());
  const std::vector<std::int64_t> ids(40, 1);
  PerplexityOptions options = {.context = 8, .batch = 1};
  int passes = 0;
  options.interrupted = [&] { return passes++ == 2; };
  const PerplexityResult part = perplexity(*model, ids, options);
  EXPECT_TRUE(part.interrupted);
  EXPECT_EQ(part.windows, 2);
  EXPECT_EQ(part.asked_windows, 5);
  options.interrupted = {};
  const PerplexityResult whole = perplexity(*model, ids, options);
  EXPECT_FALSE(whole.interrupted);
  EXPECT_EQ(whole.windows, whole.asked_windows);
  EXPECT_NO_THROW(check_perplexity(model->config(), 40, options));
  EXPECT_THAT(thrown(ErrorKind::Usage,
                     [&] { check_perplexity(model->config(), 7, options); }),
              HasSubstr("the text has 7 tokens, 0 windows of 8; 1 is needed"));
}

TEST_F(ModelLoadingTest, PerplexityOfNothingIsRefused) {
  const auto model = load_decoder(save(), {});
  const std::vector<std::int64_t> tokens(16, 1);
  PerplexityOptions options;
  options.context = 2;
  EXPECT_THAT(
      thrown(ErrorKind::Usage, [&] { perplexity(*model, tokens, options); }),
      HasSubstr("has nothing to predict"));
  options.scored = ScoredTokens::Full;
  EXPECT_EQ(perplexity(*model, tokens, options).tokens_scored, 8);
  options.context = 8;
  model->named_parameters()["model.norm.weight"].fill_(
      std::numeric_limits<float>::quiet_NaN());
  EXPECT_THAT(
      thrown(ErrorKind::Input, [&] { perplexity(*model, tokens, options); }),
      HasSubstr("the model gives to tokens are no finite numbers"));
  const auto sound = load_decoder(save(), {});
  EXPECT_THAT(thrown(ErrorKind::Input,
                     [&] { perplexity(*sound, tokens, options, &*model); }),
              HasSubstr("the reference gives to tokens"));
}

TEST_F(ModelLoadingTest, PlansTheWidestPassAndAModelBeside) {
  ModelOptions options;
  options.context = 32;
  options.pass_tokens = 32;
  options.cached = false;
  const MemoryPlan one = DecoderCheckpoint(save(), options).plan();
  EXPECT_EQ(one.cache, 0);
  options.batch = 64;
  const MemoryPlan many = DecoderCheckpoint(save(), options).plan();
  EXPECT_EQ(many.weights, one.weights);
  // Gate, up and their product of every token, beside the residual.
  const std::int64_t rows = 64 * 32;
  EXPECT_GE(many.activations, rows * (3 * kWide + kHidden) * 4);
  EXPECT_GT(many.activations, 8 * one.activations);
  EXPECT_THAT(many.text(), HasSubstr("(32 positions x 64 sequences)"));
  // A limit that each of two models keeps, and both together do not.
  const MemoryPlan both = many.beside(one);
  EXPECT_EQ(both.reference, one.weights);
  EXPECT_EQ(both.activations, many.activations);
  EXPECT_GE(both.total(), many.weights + one.weights + many.activations);
  EXPECT_NO_THROW(many.require(many.total()));
  EXPECT_NO_THROW(one.require(many.total()));
  EXPECT_THAT(
      tests::refusal([&] { both.require(many.total()); }),
      HasSubstr(" + reference " + std::to_string(one.weights) + " bytes"));
  options.batch = std::int64_t{1} << 40;
  options.pass_tokens = std::int64_t{1} << 40;
  EXPECT_GT(DecoderCheckpoint(save(), options).plan().total(),
            std::int64_t{1} << 60);
}

TEST_F(ModelLoadingTest, NamesMissingAndUnexpectedTensors) {
  tensors_.erase("model.layers.0.mlp.up_proj.weight");
  EXPECT_THAT(refused(ErrorKind::Input),
              HasSubstr("a tensor that config.json asks for is missing: "
                        "model.layers.0.mlp.up_proj.weight"));
  add("model.layers.0.mlp.up_proj.weight", {kWide, kHidden});
  add("model.layers.0.self_attn.q_proj.bias", {kHidden});
  EXPECT_THAT(refused(ErrorKind::Input),
              HasSubstr("a tensor that config.json does not explain: "
                        "model.layers.0.self_attn.q_proj.bias"));
}

TEST_F(ModelLoadingTest, LeavesOldRotaryBuffers) {
  add("model.layers.0.self_attn.rotary_emb.inv_freq", {4});
  EXPECT_NO_THROW(load_decoder(save()));
}

TEST_F(ModelLoadingTest, NamesATensorOfAnotherShape) {
  config_["intermediate_size"] = 2 * kWide;
  const std::string message = refused(ErrorKind::Input);
  EXPECT_THAT(message,
              HasSubstr("config.json asks for shape [64, 16], the "
                        "file has [32, 16]; use the config.json that was saved "
                        "with the weights"));
}

// Frequencies of 2^31 values took 8 GB before shapes were compared.
TEST_F(ModelLoadingTest, RefusesHugeHeadsInLittleMemory) {
  config_["head_dim"] = std::int64_t{1} << 31;
  const auto path = save();
  const std::int64_t before = peak_memory();
  EXPECT_THAT(thrown(ErrorKind::Input, [&] { load_decoder(path); }),
              HasSubstr("head_dim: expected at most 65536, got 2147483648"));
  config_["head_dim"] = 65536;
  EXPECT_THAT(refused(ErrorKind::Input),
              HasSubstr("config.json asks for shape [131072, 16]"));
  EXPECT_LT(peak_memory() - before, 32 << 20);
}

// generate, eval, bench and embed all say it in these words.
TEST_F(ModelLoadingTest, SaysThatThereIsNoConfig) {
  const auto path = save();
  std::filesystem::remove(path / "config.json");
  const std::string expected =
      "no config.json beside the weights; a model is built from it: copy the "
      "one that was saved with them";
  EXPECT_THAT(thrown(ErrorKind::Usage, [&] { load_decoder(path); }),
              HasSubstr(path.string() + ": " + expected));
  EXPECT_THAT(thrown(ErrorKind::Usage, [&] { load_sentence_encoder(path); }),
              HasSubstr(expected));
}

TEST_F(ModelLoadingTest, RefusesATieOfDifferentValues) {
  tensors_["lm_head.weight"] = values({kVocabulary, kHidden}, 5);
  EXPECT_THAT(refused(ErrorKind::Input),
              HasSubstr("set tie_word_embeddings to false"));
  tensors_["lm_head.weight"] = tensors_["model.embed_tokens.weight"];
  EXPECT_NO_THROW(load_decoder(save()));
}

TEST_F(ModelLoadingTest, RefusesOtherModelsByName) {
  config_["model_type"] = "falcon";
  config_["architectures"] = {"FalconForCausalLM"};
  EXPECT_THAT(refused(ErrorKind::Usage),
              HasSubstr("model_type \"falcon\" is not supported"));
}

TEST_F(ModelLoadingTest, ChecksIdsAndCapacity) {
  const auto model = load_decoder(save());
  const at::TensorOptions ids(at::kLong);
  EXPECT_THROW(model->forward(at::full({1, 2}, kVocabulary, ids)),
               c10::ValueError);
  EXPECT_THROW(model->forward(at::full({2}, 1, ids)), c10::ValueError);
  KvCache cache = model->make_cache(1, 3);
  model->forward(at::full({1, 2}, 1, ids), &cache);
  EXPECT_EQ(cache.length(), 2);
  EXPECT_THROW(model->forward(at::full({1, 2}, 1, ids), &cache),
               c10::ValueError);
  EXPECT_THROW(model->forward(at::full({2, 1}, 1, ids), &cache),
               c10::ValueError);
  cache.truncate(0);
  EXPECT_NO_THROW(model->forward(at::full({1, 3}, 1, ids), &cache));
}

}  // namespace
}  // namespace mantissa
