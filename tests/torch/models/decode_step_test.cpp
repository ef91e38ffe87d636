#include "torch/models/decode_step.h"

#include <vector>

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <mantissa/torch/quantized_tensor.h>

#include "torch/models/cache_rows.h"
#include "torch/models/decode_step_model.h"
#include "torch/models/decoder_stack.h"
#include "torch/ops/lowbit_rows.h"
#include "torch/quantize/module_parameters.h"

namespace mantissa {
namespace {

using tests::fill_decoder;
using tests::StepWeights;

class DecodeStepTest : public ::testing::Test {
 protected:
  static DecoderConfig small() { return tests::small_decoder(); }

  // One token behind a prompt by the step and by the modules: they differ where
  // rounding moves a code by one, and else by the order of sums.
  static void compare(const DecoderConfig& config,
                      Int8Compute compute = Int8Compute::Group32,
                      c10::ScalarType type = at::kFloat,
                      std::int64_t prompt = 21,
                      StepWeights weights = StepWeights::Intx) {
    const c10::InferenceMode inference;
    const double bound =
        !takes_int8(compute) && type == at::kFloat ? 1e-5 : kFlips;
    DecoderStack stack(config, at::kFloat);
    fill_decoder(stack, compute, weights);
    KvCache ours(config, 1, prompt + 10, at::TensorOptions(type));
    std::shared_ptr<StepMemory> memory;
    stack.forward(torch::randint(0, 50, {1, prompt}), &ours, 0);
    const KvCache theirs = copy(config, ours);
    for (std::int64_t past = prompt; past < prompt + 4; ++past) {
      const at::Tensor id = torch::randint(0, 50, {1, 1});
      const at::Tensor step =
          decode_step(config, stack, id, &ours, past, memory);
      ASSERT_TRUE(step.defined());
      const at::Tensor modules = stack.forward(id, &theirs, past);
      ASSERT_EQ(step.sizes(), modules.sizes());
      EXPECT_LT((step - modules).abs().max().item<double>(),
                bound * modules.abs().max().item<double>());
      for (std::size_t i = 0; i < config.layers.size(); ++i) {
        const at::Tensor keys = keys_of(ours.layer(i), past + 1);
        const at::Tensor other = keys_of(theirs.layer(i), past + 1);
        EXPECT_LT((keys - other).abs().max().item<double>(),
                  bound * other.abs().max().item<double>());
        EXPECT_TRUE(torch::equal(keys.narrow(2, 0, prompt),
                                 other.narrow(2, 0, prompt)));
      }
    }
  }

  static at::Tensor keys_of(const KvCache::Layer& layer, std::int64_t count) {
    return first_positions(layer.keys, layer.key_scales, count, at::kFloat);
  }

  static KvCache copy(const DecoderConfig& config, const KvCache& from) {
    KvCache out(config, 1, from.capacity(), at::TensorOptions(from.dtype()));
    for (std::size_t i = 0; i < config.layers.size(); ++i) {
      out.layer(i).keys.copy_(from.layer(i).keys);
      out.layer(i).values.copy_(from.layer(i).values);
      if (from.dtype() != at::kChar) continue;
      out.layer(i).key_scales.copy_(from.layer(i).key_scales);
      out.layer(i).value_scales.copy_(from.layer(i).value_scales);
    }
    return out;
  }

  static constexpr double kFlips = 0.02;
};

TEST_F(DecodeStepTest, IsTheModulesWay) { compare(small()); }

TEST_F(DecodeStepTest, WithFloatZeroPoints) {
  for (const auto compute : {Int8Compute::Group32, Int8Compute::Token}) {
    compare(small(), compute, at::kFloat, 21, StepWeights::Int4Tensor);
  }
}

TEST_F(DecodeStepTest, WithNormsOfHeadsBiasesAndWindows) {
  DecoderConfig config = small();
  config.qk_norm = true;
  config.qkv_bias = true;
  config.output_bias = true;
  config.mlp_bias = true;
  config.layers[1].window = 7;
  compare(config);
}

TEST_F(DecodeStepTest, WithGemmasNormsAndGelu) {
  DecoderConfig config = small();
  config.one_plus_norm = true;
  config.activation = Activation::GeluTanh;
  config.attention_cap = 3;
  config.embedding_scale = 4;
  config.heads = 4;
  config.kv_heads = 4;
  compare(config);
}

TEST_F(DecodeStepTest, WithGemmasFourNorms) {
  DecoderConfig config = small();
  config.one_plus_norm = true;
  config.feedforward_norms = true;
  config.qk_norm = true;
  config.activation = Activation::GeluTanh;
  config.attention_cap = 3;
  config.layers[0].window = 9;
  compare(config);
  compare(config, Int8Compute::Token);
}

TEST_F(DecodeStepTest, WithEveryWayToTakeActivations) {
  for (const Int8Compute compute : {Int8Compute::None,
                                    Int8Compute::Token,
                                    Int8Compute::Group32,
                                    Int8Compute::Group64,
                                    Int8Compute::Float}) {
    compare(small(), compute);
  }
}

TEST_F(DecodeStepTest, WithEveryCache) {
  for (const c10::ScalarType type : {at::kBFloat16, at::kChar}) {
    compare(small(), Int8Compute::Group32, type);
    DecoderConfig config = small();
    config.head_dim = 20;
    config.heads = 8;
    config.layers[1].window = 7;
    compare(config, Int8Compute::Token, type);
    compare(config, Int8Compute::None, type);
  }
}

// Attention goes in blocks of 128 positions.
TEST_F(DecodeStepTest, BehindManyPositions) {
  DecoderConfig config = small();
  config.positions = 400;
  config.layers[1].window = 7;
  config.layers[2].window = 150;
  const int threads = at::get_num_threads();
  for (const std::int64_t prompt : {126, 300}) {
    for (const c10::ScalarType type : {at::kFloat, at::kBFloat16, at::kChar}) {
      at::set_num_threads(prompt == 300 ? 2 : 1);
      compare(config, Int8Compute::None, type, prompt);
    }
  }
  at::set_num_threads(threads);
}

TEST_F(DecodeStepTest, WithExperts) {
  DecoderConfig config = small();
  config.experts = {.experts = 6, .experts_per_token = 2, .intermediate = 64};
  config.layers[0].experts = true;
  config.layers[2].experts = true;
  compare(config);
  compare(config, Int8Compute::None);
  for (const auto weights : {StepWeights::Intx, StepWeights::Float8}) {
    compare(config, Int8Compute::Float, at::kFloat, 21, weights);
  }
}

// Some linears packed, some not: the rest of a layer runs as before.
TEST_F(DecodeStepTest, WithLinearsThatAreNotPacked) {
  const c10::InferenceMode inference;
  const DecoderConfig config = small();
  DecoderStack stack(config, at::kFloat);
  fill_decoder(stack, Int8Compute::Group32);
  for (const Parameter& parameter : parameters_of(stack)) {
    const std::string& name = parameter.places.front().name();
    if (name.find("up_proj") == name.npos && name.find("k_proj") == name.npos &&
        name.find("1.mlp.down_proj") == name.npos) {
      continue;
    }
    for (const ParameterPlace& place : parameter.places) {
      place.put(mantissa::dequantize(parameter.tensor));
    }
  }
  KvCache ours(config, 1, 8, at::TensorOptions(at::kFloat));
  std::shared_ptr<StepMemory> memory;
  KvCache theirs(config, 1, 8, at::TensorOptions(at::kFloat));
  for (std::int64_t past = 0; past < 4; ++past) {
    const at::Tensor id = torch::full({1, 1}, 3 + past);
    const at::Tensor step = decode_step(config, stack, id, &ours, past, memory);
    ASSERT_TRUE(step.defined());
    const at::Tensor modules = stack.forward(id, &theirs, past);
    EXPECT_LT((step - modules).abs().max().item<double>(),
              kFlips * modules.abs().max().item<double>());
  }
}

TEST_F(DecodeStepTest, OneAndTwoThreadsGiveTheSameBytes) {
  const c10::InferenceMode inference;
  const DecoderConfig config = small();
  DecoderStack stack(config, at::kFloat);
  fill_decoder(stack, Int8Compute::Group64);
  const int threads = at::get_num_threads();
  std::vector<at::Tensor> results;
  for (const int count : {1, 2}) {
    at::set_num_threads(count);
    KvCache cache(config, 1, 8, at::TensorOptions(at::kFloat));
    std::shared_ptr<StepMemory> memory;
    for (std::int64_t past = 0; past < 5; ++past) {
      results.push_back(decode_step(
          config, stack, torch::full({1, 1}, 3 + past), &cache, past, memory));
    }
  }
  at::set_num_threads(threads);
  for (std::size_t i = 0; i < 5; ++i) {
    EXPECT_TRUE(torch::equal(results[i], results[i + 5]));
  }
}

TEST_F(DecodeStepTest, ACacheOfAnotherModelIsRefused) {
  const c10::InferenceMode inference;
  const DecoderConfig config = small();
  Decoder decoder(config);
  fill_decoder(decoder, Int8Compute::Group32);
  const at::Tensor id = torch::full({1, 1}, 3);
  const auto refuses = [&](const DecoderConfig& other) {
    KvCache cache(other, 1, 8, at::TensorOptions(at::kFloat));
    EXPECT_THROW(decoder.forward(id, &cache), c10::ValueError);
  };
  DecoderConfig other = config;
  other.kv_heads = 1;
  refuses(other);
  other = config;
  other.head_dim = 8;
  refuses(other);
  other = config;
  other.layers.resize(2);
  refuses(other);
  KvCache own = decoder.make_cache(1, 8);
  EXPECT_NO_THROW(decoder.forward(id, &own));
}

TEST_F(DecodeStepTest, LeavesOthersToTheModules) {
  const DecoderConfig config = small();
  DecoderStack stack(config, at::kFloat);
  KvCache cache(config, 1, 8, at::TensorOptions(at::kFloat));
  std::shared_ptr<StepMemory> memory;
  const at::Tensor id = torch::full({1, 1}, 3);
  fill_decoder(stack, Int8Compute::Group32);
  // Something may be differentiated.
  EXPECT_FALSE(decode_step(config, stack, id, &cache, 0, memory).defined());
  const c10::InferenceMode inference;
  EXPECT_TRUE(decode_step(config, stack, id, &cache, 0, memory).defined());
  EXPECT_FALSE(decode_step(config, stack, id, nullptr, 0, memory).defined());
  EXPECT_FALSE(
      decode_step(config, stack, torch::full({1, 2}, 3), &cache, 0, memory)
          .defined());
  KvCache half(config, 1, 8, at::TensorOptions(at::kHalf));
  EXPECT_FALSE(decode_step(config, stack, id, &half, 0, memory).defined());
  KvCache two(config, 2, 8, at::TensorOptions(at::kFloat));
  EXPECT_FALSE(
      decode_step(config, stack, torch::full({2, 1}, 3), &two, 0, memory)
          .defined());
}

}  // namespace
}  // namespace mantissa
