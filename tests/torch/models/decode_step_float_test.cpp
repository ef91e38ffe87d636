// The decode step to the bit, mostly with float activations of packed weights.
#include <string>
#include <vector>

#include <ATen/autocast_mode.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include "torch/models/decode_input.h"
#include "torch/models/decode_parts.h"
#include "torch/models/decode_step.h"
#include "torch/models/decode_step_model.h"
#include "torch/models/decoder_stack.h"
#include "torch/tensor/lowbit_rule.h"

namespace mantissa {
namespace {

using tests::fill_decoder;
using tests::small_decoder;
using tests::StepWeights;

constexpr StepWeights kAllWeights[] = {StepWeights::Intx,
                                       StepWeights::Int4Tensor,
                                       StepWeights::Float8,
                                       StepWeights::RoundedFloat8,
                                       StepWeights::RoundedInt8,
                                       StepWeights::Int8Torchao,
                                       StepWeights::Int8Compressed};

bool multiplies_int8_rows(StepWeights weights) {
  return weights == StepWeights::Int8Torchao ||
         weights == StepWeights::Int8Compressed;
}

std::vector<const StepLinear*> linears_of(const StepLayer& layer) {
  return {&layer.q,
          &layer.k,
          &layer.v,
          &layer.o,
          &layer.gate,
          &layer.up,
          &layer.down};
}

std::vector<StepLayer> parts_of(const DecoderStack& stack) {
  StepParts parts;
  EXPECT_TRUE(parts.take(stack));
  return parts.layers();
}

// Every product of a layer takes x in another way than its neighbour; `plain`:
// some are libtorch's own, whose last bits depend on threads.
void mix_linears(DecoderStack& stack, bool plain = true) {
  const auto put = [](const Parameter& parameter, const at::Tensor& value) {
    for (const ParameterPlace& place : parameter.places) place.put(value);
  };
  for (const Parameter& parameter : parameters_of(stack)) {
    const std::string& name = parameter.places.front().name();
    const auto is = [&](const char* part) {
      return name.find(part) != name.npos;
    };
    if (is("k_proj") || is("0.mlp.up_proj") || is("2.mlp.down_proj")) {
      if (plain) put(parameter, mantissa::dequantize(parameter.tensor));
    } else if (is("v_proj") || is("1.mlp.gate_proj")) {
      put(parameter, packed_weight(parameter.tensor, Int8Compute::Group32));
    } else if (is("2.mlp.gate_proj")) {
      put(parameter, packed_weight(parameter.tensor, Int8Compute::Token));
    }
  }
}

struct FirstToken {
  at::Tensor hidden;
  std::vector<at::Tensor> cached;
};

// The first token of a sequence, by the step or by the modules.
FirstToken first_token(const DecoderConfig& config,
                       DecoderStack& stack,
                       bool by_step) {
  const KvCache cache(config, 1, 4, at::TensorOptions(at::kFloat));
  std::shared_ptr<StepMemory> memory;
  const at::Tensor id = torch::full({1, 1}, 7);
  FirstToken out;
  out.hidden = by_step ? decode_step(config, stack, id, &cache, 0, memory)
                       : stack.forward(id, &cache, 0);
  for (std::size_t i = 0; i < cache.layers(); ++i) {
    out.cached.push_back(cache.layer(i).keys.narrow(2, 0, 1));
    out.cached.push_back(cache.layer(i).values.narrow(2, 0, 1));
  }
  return out;
}

// Attention to one position is its value, and all else runs by the same
// kernels: nothing may differ.
void expect_equal(const DecoderConfig& config, DecoderStack& stack) {
  const FirstToken step = first_token(config, stack, true);
  const FirstToken modules = first_token(config, stack, false);
  ASSERT_TRUE(step.hidden.defined());
  EXPECT_TRUE(torch::equal(step.hidden, modules.hidden));
  for (std::size_t i = 0; i < step.cached.size(); ++i) {
    EXPECT_TRUE(torch::equal(step.cached[i], modules.cached[i])) << i;
  }
}

TEST(DecodeStepFloatTest, EveryPackedLinearIsAProductOfTheStep) {
  const c10::InferenceMode inference;
  for (const StepWeights weights : kAllWeights) {
    DecoderStack stack(small_decoder(), at::kFloat);
    fill_decoder(stack, Int8Compute::Float, weights);
    for (const StepLayer& layer : parts_of(stack)) {
      for (const StepLinear* linear : linears_of(layer)) {
        EXPECT_TRUE(linear->packed());
        EXPECT_EQ(linear->int8 != nullptr, multiplies_int8_rows(weights));
        EXPECT_EQ(linear->compute == Int8Compute::Float,
                  !multiplies_int8_rows(weights));
        EXPECT_EQ(linear->rounding != nullptr,
                  weights == StepWeights::RoundedFloat8 ||
                      weights == StepWeights::RoundedInt8);
      }
    }
  }
}

TEST(DecodeStepFloatTest, TheFirstTokenIsTheModulesToTheBit) {
  const c10::InferenceMode inference;
  DecoderConfig config = small_decoder();
  for (const bool bias : {false, true}) {
    config.qkv_bias = config.output_bias = config.mlp_bias = bias;
    config.qk_norm = bias;
    for (const StepWeights weights : kAllWeights) {
      for (const Int8Compute compute : {Int8Compute::Float,
                                        Int8Compute::Token,
                                        Int8Compute::Group32,
                                        Int8Compute::Group64}) {
        // The product adds a bias to scaled sums in one rounding, libtorch's
        // Linear behind the product.
        const bool names_none =
            weights == StepWeights::Intx || weights == StepWeights::Int4Tensor;
        if (bias && names_none && compute == Int8Compute::Token) continue;
        DecoderStack stack(config, at::kFloat);
        fill_decoder(stack, compute, weights);
        SCOPED_TRACE(testing::Message()
                     << "weights " << static_cast<int>(weights) << " compute "
                     << static_cast<int>(compute) << " bias " << bias);
        expect_equal(config, stack);
      }
    }
  }
}

TEST(DecodeStepFloatTest, MixedLinearsAreTheModulesToTheBit) {
  const c10::InferenceMode inference;
  const DecoderConfig config = small_decoder();
  DecoderStack stack(config, at::kFloat);
  fill_decoder(stack, Int8Compute::Float);
  mix_linears(stack);
  const auto layers = parts_of(stack);
  EXPECT_EQ(layers[0].q.compute, Int8Compute::Float);
  EXPECT_EQ(layers[0].k.compute, Int8Compute::None);
  EXPECT_EQ(layers[0].v.compute, Int8Compute::Group32);
  EXPECT_EQ(layers[1].gate.compute, Int8Compute::Group32);
  EXPECT_EQ(layers[1].up.compute, Int8Compute::Float);
  expect_equal(config, stack);
}

TEST(DecodeStepFloatTest, WhatAConfigRoundsIsMadeOnceForOneVector) {
  const c10::InferenceMode inference;
  DecoderStack stack(small_decoder(), at::kFloat);
  fill_decoder(stack, Int8Compute::Float, StepWeights::RoundedInt8);
  const StepLayer layer = parts_of(stack)[0];
  const at::Tensor x = torch::randn({1, 1, 96});
  StepInput input(at::kFloat);
  input.set(x);
  input.prepare(layer.q);
  input.prepare(layer.k);
  EXPECT_EQ(&input.form(layer.q), &input.form(layer.k));
  StepLinear plain = layer.v;
  plain.rounding = nullptr;
  input.prepare(plain);
  EXPECT_NE(&input.form(layer.q), &input.form(plain));
  EXPECT_EQ(&input.form(layer.q), &input.form(layer.v));
}

TEST(DecodeStepFloatTest, Int8CodesOfAConfigAreMadeOnceForOneVector) {
  const c10::InferenceMode inference;
  DecoderStack stack(small_decoder(), at::kFloat);
  fill_decoder(stack, Int8Compute::Float, StepWeights::Int8Torchao);
  DecoderStack other(small_decoder(), at::kFloat);
  fill_decoder(other, Int8Compute::Float, StepWeights::Int8Compressed);
  const StepLayer layer = parts_of(stack)[0];
  const StepLinear compressed = parts_of(other)[0].q;
  const at::Tensor x = torch::randn({1, 1, 96});
  StepInput input(at::kFloat);
  input.set(x);
  for (const StepLinear* each : {&layer.q, &compressed, &layer.k}) {
    input.prepare(*each);
  }
  EXPECT_EQ(&input.form(layer.q), &input.form(layer.k));
  EXPECT_NE(&input.form(layer.q), &input.form(compressed));
}

TEST(DecodeStepFloatTest, OneAndTwoThreadsGiveTheSameBytes) {
  const c10::InferenceMode inference;
  const DecoderConfig config = small_decoder();
  const int threads = at::get_num_threads();
  for (const auto& [weights, mixed] :
       {std::pair(StepWeights::Intx, false),
        std::pair(StepWeights::Intx, true),
        std::pair(StepWeights::Int8Compressed, false)}) {
    DecoderStack stack(config, at::kFloat);
    fill_decoder(stack, Int8Compute::Float, weights);
    if (mixed) mix_linears(stack, /*plain=*/false);
    std::vector<at::Tensor> results;
    for (const int count : {1, 2, 3}) {
      at::set_num_threads(count);
      KvCache cache(config, 1, 8, at::TensorOptions(at::kFloat));
      std::shared_ptr<StepMemory> memory;
      for (std::int64_t past = 0; past < 5; ++past) {
        results.push_back(decode_step(config,
                                      stack,
                                      torch::full({1, 1}, 3 + past),
                                      &cache,
                                      past,
                                      memory));
      }
    }
    at::set_num_threads(threads);
    for (std::size_t i = 5; i < results.size(); ++i) {
      EXPECT_TRUE(torch::equal(results[i], results[i % 5])) << i;
    }
  }
}

// Autocast narrows what floats multiply: modules do it.
TEST(DecodeStepFloatTest, AutocastLeavesFloatsToTheModules) {
  const c10::InferenceMode inference;
  const DecoderConfig config = small_decoder();
  DecoderStack stack(config, at::kFloat);
  fill_decoder(stack, Int8Compute::Float);
  DecoderStack codes(config, at::kFloat);
  fill_decoder(codes, Int8Compute::Float, StepWeights::Int8Compressed);
  at::autocast::set_autocast_enabled(at::kCPU, true);
  at::autocast::set_autocast_dtype(at::kCPU, at::kBFloat16);
  const StepLayer layer = parts_of(stack)[0];
  const StepLayer int8_layer = parts_of(codes)[0];
  at::autocast::clear_cache();
  at::autocast::set_autocast_enabled(at::kCPU, false);
  for (const StepLinear* linear : linears_of(layer)) {
    EXPECT_FALSE(linear->packed());
  }
  EXPECT_FALSE(int8_layer.q.packed());
}

}  // namespace
}  // namespace mantissa
