// Models with experts, whose codes multiply as they are stored, beside the same
// checkpoint decoded.
#include <cmath>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <torch/torch.h>
#include <nlohmann/json.hpp>

#include <mantissa/configs.h>
#include <mantissa/torch/checkpoint.h>
#include <mantissa/torch/model_loading.h>
#include <mantissa/torch/perplexity.h>
#include <mantissa/torch/quantize.h>

#include "support/exchange.h"
#include "support/temp_dir.h"

namespace mantissa {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr std::int64_t kVocabulary = 48;
constexpr std::int64_t kHidden = 64;
constexpr std::int64_t kWide = 96;
constexpr std::int64_t kExperts = 4;
constexpr std::int64_t kLayers = 2;

class ExpertsProductsTest : public ::testing::Test {
 protected:
  void add(const std::string& name, Shape shape) {
    HostTensor tensor(DType::Float32, std::move(shape));
    std::normal_distribution<float> normal(0.0f, 0.12f);
    const bool norm = tensor.shape().size() == 1;
    for (std::int64_t i = 0; i < tensor.numel(); ++i) {
      tensor.as<float>()[i] = norm ? 1.0f : normal(random_);
    }
    tensors_.emplace(name, tensor);
  }

  // A Mixtral, an expert a matrix as its files have them.
  fs::path mixtral() {
    const fs::path out = dir_.path() / "mixtral";
    fs::create_directories(out);
    const Json config = {{"architectures", {"MixtralForCausalLM"}},
                         {"model_type", "mixtral"},
                         {"vocab_size", kVocabulary},
                         {"hidden_size", kHidden},
                         {"intermediate_size", kWide},
                         {"num_hidden_layers", kLayers},
                         {"num_attention_heads", 4},
                         {"num_key_value_heads", 2},
                         {"num_local_experts", kExperts},
                         {"num_experts_per_tok", 2},
                         {"max_position_embeddings", 64},
                         {"tie_word_embeddings", false}};
    std::ofstream(out / "config.json") << config;
    add("model.embed_tokens.weight", {kVocabulary, kHidden});
    add("model.norm.weight", {kHidden});
    add("lm_head.weight", {kVocabulary, kHidden});
    for (std::int64_t i = 0; i < kLayers; ++i) {
      const std::string layer = "model.layers." + std::to_string(i) + ".";
      add(layer + "input_layernorm.weight", {kHidden});
      add(layer + "post_attention_layernorm.weight", {kHidden});
      for (const char* name : {"q", "k", "v", "o"}) {
        const bool narrow = *name == 'k' || *name == 'v';
        add(layer + "self_attn." + name + "_proj.weight",
            {narrow ? kHidden / 2 : kHidden, kHidden});
      }
      const std::string moe = layer + "block_sparse_moe.";
      add(moe + "gate.weight", {kExperts, kHidden});
      for (std::int64_t e = 0; e < kExperts; ++e) {
        const std::string expert = moe + "experts." + std::to_string(e) + ".";
        add(expert + "w1.weight", {kWide, kHidden});
        add(expert + "w2.weight", {kHidden, kWide});
        add(expert + "w3.weight", {kWide, kHidden});
      }
    }
    support::save_tensors(out / "model.safetensors", tensors_);
    return out;
  }

  template <class Config>
  fs::path quantized(const Config& config) {
    const fs::path plain = mixtral();
    const auto model = load_decoder(plain, {});
    quantize_(*model,
              FqnToConfig{{{"re:.*experts.*", config}, {"_default", config}}});
    const fs::path out = dir_.path() / "quantized";
    save_checkpoint(*model, out, {.overwrite = true, .like = plain});
    return out;
  }

  static ModelOptions options(Int8Compute compute, c10::ScalarType dtype) {
    ModelOptions out;
    out.compute_dtype = dtype;
    out.int8_compute = compute;
    return out;
  }

  static double perplexity_of(const fs::path& path,
                              Int8Compute compute,
                              c10::ScalarType dtype) {
    std::vector<std::int64_t> ids;
    for (std::int64_t i = 0; i < 160; ++i) {
      ids.push_back((i * i + 3 * i) % kVocabulary);
    }
    const auto model = load_decoder(path, options(compute, dtype));
    return perplexity(
               *model, ids, {.context = 40, .scored = ScoredTokens::Full})
        .perplexity;
  }

  // All weights multiply as stored, to the perplexity of their values.
  static void compare(const fs::path& path, const std::string& format) {
    const std::int64_t weights = kLayers * (4 + 2) + 1;
    for (const auto dtype : {at::kFloat, at::kBFloat16, at::kHalf}) {
      const DecoderCheckpoint checkpoint(path,
                                         options(Int8Compute::Float, dtype));
      EXPECT_EQ(products_text(checkpoint.quantized_weights()),
                std::to_string(weights) + " weights multiply as stored (" +
                    format + " " + std::to_string(weights) + ")");
      const double decoded = perplexity_of(path, Int8Compute::None, dtype);
      const double codes = perplexity_of(path, Int8Compute::Float, dtype);
      EXPECT_NEAR(codes / decoded, 1, dtype == at::kFloat ? 1e-5 : 0.01)
          << format << " " << dtype;
    }
  }

  support::TempDir dir_;
  std::mt19937 random_{5};
  std::map<std::string, HostTensor> tensors_;
};

TEST_F(ExpertsProductsTest, IntegersMultiplyFloats) {
  compare(quantized(Int8WeightOnlyConfig{}), "Int8Tensor");
}

TEST_F(ExpertsProductsTest, FloatZeroPointsToo) {
  compare(quantized(Int4WeightOnlyConfig{{.group_size = 32}}), "Int4Tensor");
}

TEST_F(ExpertsProductsTest, Float8Too) {
  compare(quantized(Float8WeightOnlyConfig{}), "Float8Tensor");
}

}  // namespace
}  // namespace mantissa
