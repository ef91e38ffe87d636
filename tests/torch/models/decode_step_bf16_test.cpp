// The decode step of models with narrow activations, beside their modules and
// beside the same model in double.
#include <cmath>
#include <vector>

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "torch/models/decode_parts.h"
#include "torch/models/decode_step.h"
#include "torch/models/decode_step_model.h"
#include "torch/models/decoder_stack.h"
#include "torch/models/row_ops.h"
#include "torch/tensor/lowbit_rule.h"

namespace mantissa {
namespace {

using tests::fill_decoder;
using tests::small_decoder;
using tests::StepWeights;

at::Tensor plain_values(const at::Tensor& w) {
  return is_quantized_tensor(w) ? mantissa::dequantize(w) : w;
}

// The values of one module's parameters in another, in its dtype.
void copy_values(torch::nn::Module& from,
                 torch::nn::Module& to,
                 c10::ScalarType dtype) {
  const auto values = parameters_of(from);
  const auto places = parameters_of(to);
  ASSERT_EQ(values.size(), places.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    for (const ParameterPlace& place : places[i].places) {
      place.put(plain_values(values[i].tensor).to(dtype));
    }
  }
}

double norm_of(const at::Tensor& x) {
  return x.to(at::kDouble).norm().item<double>();
}

// Tokens behind a prompt, by the step, by the modules, and what double gives:
// [tokens, hidden] each.
struct Decoded {
  at::Tensor step;
  at::Tensor modules;
  at::Tensor truth;

  double step_error() const { return norm_of(step - truth); }
  double modules_error() const { return norm_of(modules - truth); }
};

Decoded decode_tokens(const DecoderConfig& config,
                      DecoderStack& stack,
                      DecoderStack& wide,
                      c10::ScalarType dtype,
                      std::int64_t prompt) {
  constexpr std::int64_t kTokens = 12;
  const at::Tensor ids = torch::randint(0, 50, {1, prompt + kTokens});
  const auto options = at::TensorOptions(at::kFloat);
  const KvCache ours(config, 1, prompt + kTokens, options);
  std::shared_ptr<StepMemory> memory;
  const KvCache theirs(config, 1, prompt + kTokens, options);
  for (const KvCache* cache : {&ours, &theirs}) {
    if (prompt > 0) stack.forward(ids.narrow(1, 0, prompt), cache, 0);
  }
  std::vector<at::Tensor> step;
  std::vector<at::Tensor> modules;
  for (std::int64_t past = prompt; past < prompt + kTokens; ++past) {
    const at::Tensor id = ids.narrow(1, past, 1);
    step.push_back(decode_step(config, stack, id, &ours, past, memory));
    EXPECT_TRUE(step.back().defined());
    if (!step.back().defined()) return {};
    EXPECT_EQ(step.back().scalar_type(), dtype);
    modules.push_back(stack.forward(id, &theirs, past));
  }
  return {
      torch::cat(step, 1).to(at::kDouble),
      torch::cat(modules, 1).to(at::kDouble),
      wide.forward(ids, nullptr, 0).narrow(1, prompt, kTokens).to(at::kDouble)};
}

// Rounding may cost the step no more than it costs the modules, which round
// everything: so they are at most twice that apart.
void expect_no_worse(const Decoded& d) {
  ASSERT_TRUE(d.step.defined());
  EXPECT_GT(d.step_error(), 0);
  EXPECT_LE(d.step_error(), d.modules_error());
  EXPECT_LT(d.modules_error(), 0.05 * norm_of(d.truth));
}

void compare_narrow(const DecoderConfig& config,
                    StepWeights weights,
                    c10::ScalarType dtype,
                    std::int64_t prompt) {
  const c10::InferenceMode inference;
  DecoderStack stack(config, dtype);
  fill_decoder(stack, Int8Compute::Float, weights, dtype);
  DecoderStack wide(config, at::kDouble);
  copy_values(stack, wide, at::kDouble);
  expect_no_worse(decode_tokens(config, stack, wide, dtype, prompt));
}

TEST(DecodeStepBf16Test, RoundsNoMoreThanTheModules) {
  for (const auto weights :
       {StepWeights::Intx, StepWeights::Int4Tensor, StepWeights::Float8}) {
    for (const std::int64_t prompt : {0, 21}) {
      compare_narrow(small_decoder(), weights, at::kBFloat16, prompt);
    }
  }
}

TEST(DecodeStepBf16Test, WithEveryPartOfALayer) {
  DecoderConfig config = small_decoder();
  config.qk_norm = true;
  config.qkv_bias = config.output_bias = config.mlp_bias = true;
  config.layers[1].window = 7;
  compare_narrow(config, StepWeights::Intx, at::kBFloat16, 21);
  config = small_decoder();
  config.one_plus_norm = true;
  config.feedforward_norms = true;
  config.activation = Activation::GeluTanh;
  config.attention_cap = 3;
  config.embedding_scale = 4;
  compare_narrow(config, StepWeights::Float8, at::kBFloat16, 21);
}

TEST(DecodeStepBf16Test, Float16Too) {
  for (const std::int64_t prompt : {0, 21}) {
    compare_narrow(small_decoder(), StepWeights::Float8, at::kHalf, prompt);
  }
}

// What a product takes is rounded to bfloat16, what it gives is not: values of
// the first layer within that of double, and not those of the modules.
TEST(DecodeStepBf16Test, RoundsWhatProductsTake) {
  const c10::InferenceMode inference;
  const DecoderConfig config = small_decoder();
  DecoderStack stack(config, at::kBFloat16);
  fill_decoder(stack, Int8Compute::Float, StepWeights::Intx, at::kBFloat16);
  const DecoderLayer& layer = *stack.layers()[0];
  const at::Tensor w =
      plain_values(layer.attention().v()->weight).to(at::kDouble);  // [N, K]
  const at::Tensor g = layer.input_norm().weight().to(at::kDouble);
  const auto k = static_cast<double>(w.size(1));
  const double half_ulp = std::ldexp(1.0, -9) * (1 + std::ldexp(1.0, -7));
  const double sums = (k + 16) * std::ldexp(1.0, -23);
  for (std::int64_t i = 0; i < 8; ++i) {
    const at::Tensor id = torch::full({1, 1}, i);
    const KvCache cache(config, 1, 2, at::TensorOptions(at::kFloat));
    std::shared_ptr<StepMemory> memory;
    ASSERT_TRUE(decode_step(config, stack, id, &cache, 0, memory).defined());
    const at::Tensor x = stack.embed(id).to(at::kDouble).view({-1});
    const at::Tensor n =
        x / (x.square().mean() + config.norm_eps).sqrt() * g;  // [K]
    const at::Tensor v =
        cache.layer(0).values.narrow(2, 0, 1).reshape({-1}).to(at::kDouble);
    const at::Tensor bound = torch::mv(w.abs(), n.abs()) * (half_ulp + sums);
    const at::Tensor error = (v - torch::mv(w, n)).abs();
    EXPECT_TRUE((error <= bound).all().item<bool>()) << (error / bound).max();
    EXPECT_FALSE(torch::equal(v, v.to(at::kBFloat16).to(at::kDouble)));
  }
}

// Modules between the regions get and give bfloat16; experts are such.
TEST(DecodeStepBf16Test, WithModulesAndExperts) {
  const c10::InferenceMode inference;
  DecoderConfig config = small_decoder();
  config.experts = {.experts = 6, .experts_per_token = 2, .intermediate = 64};
  config.layers[2].experts = true;
  DecoderStack stack(config, at::kBFloat16);
  fill_decoder(stack, Int8Compute::Float, StepWeights::Intx, at::kBFloat16);
  for (const Parameter& parameter : parameters_of(stack)) {
    const std::string& name = parameter.places.front().name();
    if (name.find("k_proj") == name.npos && name.find("up_proj") == name.npos) {
      continue;
    }
    const at::Tensor value = plain_values(parameter.tensor).to(at::kBFloat16);
    for (const ParameterPlace& place : parameter.places) place.put(value);
  }
  DecoderStack wide(config, at::kDouble);
  copy_values(stack, wide, at::kDouble);
  expect_no_worse(decode_tokens(config, stack, wide, at::kBFloat16, 9));
}

// W8A8 of bfloat16 rounds each step of its results: its module multiplies it,
// beside products of the step.
TEST(DecodeStepBf16Test, AModuleStandsBesideProductsOfTheStep) {
  const c10::InferenceMode inference;
  const DecoderConfig config = small_decoder();
  for (const char* part : {"q_proj", "v_proj", "gate_proj", "up_proj"}) {
    DecoderStack stack(config, at::kBFloat16);
    fill_decoder(stack, Int8Compute::Group32, StepWeights::Intx, at::kBFloat16);
    for (const Parameter& parameter : parameters_of(stack)) {
      if (parameter.places.front().name().find(part) == std::string::npos) {
        continue;
      }
      const at::Tensor w =
          plain_values(parameter.tensor).to(at::kFloat).to(at::kBFloat16);
      const at::Tensor w8a8 = packed_weight(
          to_quantized_tensor(
              w,
              make_int8_encoding(
                  w.sizes().vec(),
                  DType::BFloat16,
                  {.act_quant_kwargs = QuantizeTensorToInt8Kwargs{}})),
          Int8Compute::Float);
      for (const ParameterPlace& place : parameter.places) place.put(w8a8);
    }
    DecoderStack wide(config, at::kDouble);
    copy_values(stack, wide, at::kDouble);
    // Codes of activations cost both sides alike.
    const Decoded d = decode_tokens(config, stack, wide, at::kBFloat16, 9);
    ASSERT_TRUE(d.step.defined());
    EXPECT_LT(d.step_error(), 1.2 * d.modules_error()) << part;
    EXPECT_LT(d.modules_error(), 0.05 * norm_of(d.truth)) << part;
  }
}

// Products of every kind are those of the rounded vector: values of the first
// layer, rounded, are what the module gives for it, codes of activations too.
TEST(DecodeStepBf16Test, ProductsAreLinearsOfWhatIsRounded) {
  const c10::InferenceMode inference;
  const DecoderConfig config = small_decoder();
  for (const auto& [compute, weights] :
       {std::pair(Int8Compute::Float, StepWeights::Intx),
        std::pair(Int8Compute::Float, StepWeights::Float8),
        std::pair(Int8Compute::Float, StepWeights::RoundedInt8),
        std::pair(Int8Compute::Float, StepWeights::RoundedFloat8),
        std::pair(Int8Compute::Group32, StepWeights::Intx),
        std::pair(Int8Compute::Token, StepWeights::Int4Tensor)}) {
    for (const auto dtype : {at::kBFloat16, at::kHalf}) {
      DecoderStack stack(config, dtype);
      fill_decoder(stack, compute, weights, dtype);
      const DecoderLayer& layer = *stack.layers()[0];
      const at::Tensor g = layer.input_norm().weight().to(at::kFloat);
      for (std::int64_t i = 0; i < 8; ++i) {
        const at::Tensor id = torch::full({1, 1}, i);
        const KvCache cache(config, 1, 2, at::TensorOptions(at::kFloat));
        std::shared_ptr<StepMemory> memory;
        ASSERT_TRUE(
            decode_step(config, stack, id, &cache, 0, memory).defined());
        const at::Tensor x = rms_norm_rows(
            stack.embed(id).to(at::kFloat), g, config.norm_eps, false);
        const at::Tensor v =
            cache.layer(0).values.narrow(2, 0, 1).reshape({1, 1, -1});
        EXPECT_TRUE(torch::equal(v.to(dtype),
                                 layer.attention().v()->forward(x.to(dtype))));
      }
    }
  }
}

TEST(DecodeStepBf16Test, OneAndTwoThreadsGiveTheSameBytes) {
  const c10::InferenceMode inference;
  const DecoderConfig config = small_decoder();
  DecoderStack stack(config, at::kBFloat16);
  fill_decoder(stack, Int8Compute::Float, StepWeights::Float8, at::kBFloat16);
  const int threads = at::get_num_threads();
  std::vector<at::Tensor> results;
  for (const int count : {1, 2, 3}) {
    at::set_num_threads(count);
    const KvCache cache(config, 1, 8, at::TensorOptions(at::kBFloat16));
    std::shared_ptr<StepMemory> memory;
    for (std::int64_t past = 0; past < 5; ++past) {
      results.push_back(decode_step(
          config, stack, torch::full({1, 1}, 3 + past), &cache, past, memory));
    }
  }
  at::set_num_threads(threads);
  for (std::size_t i = 5; i < results.size(); ++i) {
    EXPECT_TRUE(torch::equal(results[i], results[i % 5])) << i;
  }
}

}  // namespace
}  // namespace mantissa
