// Models with experts, whose codes multiply as they are stored, beside the same
// checkpoint decoded.
#include <cmath>
#include <fstream>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>
#include <nlohmann/json.hpp>

#include <mantissa/configs.h>
#include <mantissa/formats/compressed_tensor.h>
#include <mantissa/torch/checkpoint.h>
#include <mantissa/torch/model_loading.h>
#include <mantissa/torch/perplexity.h>
#include <mantissa/torch/quantize.h>
#include <mantissa/torch/quantized_tensor.h>

#include "support/exchange.h"
#include "support/temp_dir.h"
#include "torch/quantize/module_parameters.h"
#include "torch/refusal.h"
#include "torch/tensor/lowbit_rule.h"

namespace mantissa {
namespace {

using ::testing::HasSubstr;

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

  // The same in compressed-tensors' convention, an expert a matrix.
  fs::path compressed(const CompressedSpec& spec) {
    const fs::path out = mixtral();
    std::map<std::string, HostTensor> stored;
    Json group;
    for (const auto& [name, value] : tensors_) {
      const std::string module = name.substr(0, name.rfind('.'));
      if (name.find("proj") == name.npos && name.find("experts") == name.npos) {
        stored.emplace(name, value);
        continue;
      }
      EncodedTensor encoded =
          encode(make_compressed_encoding(value.shape(), DType::Float32, spec),
                 value.view());
      group = Json::parse(encoded.encoding->attributes_json());
      const std::vector<FieldLayout> fields = encoded.encoding->fields();
      for (std::size_t i = 0; i < fields.size(); ++i) {
        stored.emplace(module + "." + fields[i].name, encoded.fields[i]);
      }
      if (spec.input_activations.find(R"("dynamic":false)") ==
          std::string::npos)
        continue;
      // Of gate and up it differs.
      HostTensor scale(DType::Float32, {1});
      scale.as<float>()[0] =
          0.02f + 0.001f * static_cast<float>(module.back() % 8);
      stored.emplace(module + ".input_scale", scale);
    }
    group["targets"] = {"Linear"};
    Json config = Json::parse(std::ifstream(out / "config.json"));
    config["quantization_config"] = {
        {"quant_method", "compressed-tensors"},
        {"format", group["format"]},
        {"quantization_status", "compressed"},
        {"config_groups", {{"group_0", group}}},
        {"ignore", {"lm_head", "re:.*block_sparse_moe.gate"}}};
    std::ofstream(out / "config.json") << config;
    support::save_tensors(out / "model.safetensors", stored);
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

  // All weights, with a head or without, multiply as stored, to the perplexity
  // of their values.
  static void compare(const fs::path& path,
                      const std::string& format,
                      std::int64_t heads = 1) {
    const std::int64_t weights = kLayers * (4 + 2) + heads;
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

  // Logits of a packed model and of the same one matrix by matrix.
  static std::pair<at::Tensor, at::Tensor> packed_and_not(
      const fs::path& path, c10::ScalarType dtype) {
    const auto wanted = options(Int8Compute::Float, dtype);
    const auto model = load_decoder(path, wanted);
    const at::Tensor ids = torch::tensor({{2, 3, 4, 5, 6, 7, 2, 9}});
    const torch::NoGradGuard no_grad;
    const at::Tensor packed = model->forward(ids);
    for (const Parameter& parameter : parameters_of(*model)) {
      if (!is_quantized_tensor(parameter.tensor)) continue;
      EXPECT_THAT(describe(parameter.tensor), HasSubstr("packed"));
      for (const ParameterPlace& place : parameter.places) {
        place.put(unpacked_weight(parameter.tensor));
      }
    }
    return {packed, model->forward(ids)};
  }

  // Experts multiply codes with codes: the logits are those of matrices that
  // are not packed, to the bit.
  static void expect_int8(const fs::path& path,
                          const std::string& format,
                          std::int64_t weights) {
    EXPECT_EQ(products_text(DecoderCheckpoint(
                                path, options(Int8Compute::Float, at::kFloat))
                                .quantized_weights()),
              std::to_string(weights) + " weights multiply as stored (" +
                  format + " " + std::to_string(weights) +
                  "), with activations as their config says");
    for (const auto dtype : {at::kFloat, at::kBFloat16, at::kHalf}) {
      const auto [packed, other] = packed_and_not(path, dtype);
      EXPECT_TRUE(torch::equal(packed, other)) << format << " " << dtype;
    }
  }

  // The same, one matrix of an expert not quantized.
  std::filesystem::path with_a_plain_expert(const CompressedSpec& weights) {
    const auto path = compressed(weights);
    auto tensors = support::load_tensors(path / "model.safetensors");
    const std::string expert =
        "model.layers.1.block_sparse_moe.experts.2.w2.weight";
    for (const char* field : {"_packed", "_scale", "_shape"}) {
      EXPECT_EQ(tensors.erase(expert + field), 1U);
    }
    tensors.emplace(expert, tensors_.at(expert));
    support::save_tensors(path / "model.safetensors", tensors);
    Json config = Json::parse(std::ifstream(path / "config.json"));
    config["quantization_config"]["ignore"].push_back(
        expert.substr(0, expert.rfind('.')));
    std::ofstream(path / "config.json") << config;
    return path;
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

// Experts that are stored a matrix at a time are fused as codes.
TEST_F(ExpertsProductsTest, MatricesOfCompressedTensorsToo) {
  compare(compressed({.num_bits = 4, .group_size = 32}), "pack-quantized", 0);
}

TEST_F(ExpertsProductsTest, MatricesWithZeroPointsToo) {
  compare(compressed({.num_bits = 4, .symmetric = false, .group_size = 32}),
          "pack-quantized",
          0);
}

TEST_F(ExpertsProductsTest, MatricesInFloat8Too) {
  compare(compressed({.format = CompressedFormat::FloatQuantized,
                      .num_bits = 8,
                      .floating = true,
                      .strategy = CompressedStrategy::Channel}),
          "float-quantized",
          0);
}

// Activations of the config are rounded, then multiplied as floats; matrix by
// matrix where the weights are not packed.
TEST_F(ExpertsProductsTest, ActivationsOfASchemeAreRounded) {
  const CompressedSpec weights = {.format = CompressedFormat::FloatQuantized,
                                  .num_bits = 8,
                                  .floating = true,
                                  .strategy = CompressedStrategy::Channel};
  CompressedSpec rounded = weights;
  rounded.input_activations =
      R"({"num_bits":8,"type":"float","strategy":"token","dynamic":true,)"
      R"("symmetric":true})";
  const auto path = compressed(rounded);
  EXPECT_EQ(products_text(
                DecoderCheckpoint(path, options(Int8Compute::Float, at::kFloat))
                    .quantized_weights()),
            "12 weights multiply as stored (float-quantized 12), with "
            "activations as their config says");
  const at::Tensor ids = torch::tensor({{2, 3, 4, 5, 6, 7, 2, 9}});
  const torch::NoGradGuard no_grad;
  const auto [packed, one_by_one] = packed_and_not(path, at::kFloat);
  tensors_.clear();
  random_.seed(5);
  const at::Tensor plain =
      load_decoder(compressed(weights), options(Int8Compute::Float, at::kFloat))
          ->forward(ids);
  const auto apart = [&, packed = packed](const at::Tensor& other) {
    return ((packed - other).norm() / packed.norm()).item<double>();
  };
  // The order of sums moves a code of a few activations; rounding, all.
  EXPECT_LT(apart(one_by_one), 2e-3);
  EXPECT_GT(apart(plain), 1e-2);
}

// Scales of activations that a file gives, or an expert's rows share.
TEST_F(ExpertsProductsTest, ScalesOfATensorAreRoundedToo) {
  CompressedSpec spec = {.format = CompressedFormat::FloatQuantized,
                         .num_bits = 8,
                         .floating = true,
                         .strategy = CompressedStrategy::Tensor};
  for (const std::string dynamic : {"true", "false"}) {
    spec.input_activations =
        R"({"num_bits":8,"type":"float","strategy":"tensor","dynamic":)" +
        dynamic + "}";
    const auto path = compressed(spec);
    EXPECT_EQ(products_text(DecoderCheckpoint(
                                path, options(Int8Compute::Float, at::kFloat))
                                .quantized_weights()),
              "12 weights multiply as stored (float-quantized 12), with "
              "activations as their config says");
    const auto [packed, one_by_one] = packed_and_not(path, at::kFloat);
    EXPECT_LT(((packed - one_by_one).norm() / packed.norm()).item<double>(),
              2e-3)
        << dynamic;
    tensors_.clear();
  }
}

TEST_F(ExpertsProductsTest, Int8ActivationsMultiplyCodes) {
  expect_int8(
      quantized(Int8DynamicActivationInt8WeightConfig{}), "Int8Tensor", 13);
}

TEST_F(ExpertsProductsTest, Int8ActivationsOfMatricesToo) {
  CompressedSpec spec = {.format = CompressedFormat::IntQuantized,
                         .num_bits = 8,
                         .strategy = CompressedStrategy::Channel};
  for (const std::string how : {R"("token","dynamic":true)",
                                R"("tensor","dynamic":true,"symmetric":false)",
                                R"("tensor","dynamic":false)"}) {
    spec.input_activations =
        R"({"num_bits":8,"type":"int","strategy":)" + how + "}";
    expect_int8(compressed(spec), "int-quantized", 12);
    tensors_.clear();
    spec.strategy = CompressedStrategy::Tensor;
  }
}

TEST_F(ExpertsProductsTest, ExpertsOfDifferentFormatsAreDecoded) {
  const auto path = with_a_plain_expert({.num_bits = 4, .group_size = 32});
  const auto wanted = options(Int8Compute::Float, at::kFloat);
  EXPECT_EQ(products_text(DecoderCheckpoint(path, wanted).quantized_weights()),
            "11 weights multiply as stored (pack-quantized 11), 1 is decoded "
            "(pack-quantized 1: its matrices differ in format)");
  EXPECT_NEAR(perplexity_of(path, Int8Compute::Float, at::kFloat) /
                  perplexity_of(path, Int8Compute::None, at::kFloat),
              1,
              1e-5);
}

TEST_F(ExpertsProductsTest, ActivationsOfExpertsThatDifferAreRefused) {
  const auto path = with_a_plain_expert(
      {.num_bits = 4,
       .group_size = 32,
       .input_activations = R"({"strategy":"token","dynamic":true})"});
  EXPECT_THAT(tests::refusal([&] {
                load_decoder(path, options(Int8Compute::Float, at::kFloat));
              }),
              HasSubstr("whose experts differ in format"));
}

// No file of ours holds fused matrices.
TEST_F(ExpertsProductsTest, SavedModelsHoldTheValues) {
  const auto path = compressed({.num_bits = 4, .group_size = 32});
  const auto model =
      load_decoder(path, options(Int8Compute::Float, at::kFloat));
  const auto saved = dir_.path() / "saved";
  save_checkpoint(*model, saved, {.like = path});
  EXPECT_NEAR(perplexity_of(saved, Int8Compute::Float, at::kFloat) /
                  perplexity_of(path, Int8Compute::Float, at::kFloat),
              1,
              1e-5);
}

}  // namespace
}  // namespace mantissa
