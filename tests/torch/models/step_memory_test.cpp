// What decode_step() keeps from one token to the next changes no result.
#include <functional>
#include <memory>
#include <string>

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "torch/models/decode_step.h"
#include "torch/models/decode_step_model.h"
#include "torch/models/decoder_stack.h"
#include "torch/models/step_memory.h"
#include "torch/tensor/lowbit_rule.h"

namespace mantissa {
namespace {

using tests::fill_decoder;
using tests::small_decoder;

class StepMemoryTest : public ::testing::Test {
 protected:
  using Change = std::function<void(DecoderStack&)>;

  static KvCache cache_of(const DecoderConfig& config) {
    return KvCache(config, 1, 8, at::TensorOptions(at::kFloat));
  }

  static at::Tensor token(const DecoderConfig& config,
                          const DecoderStack& stack,
                          const KvCache& cache,
                          std::int64_t past,
                          std::shared_ptr<StepMemory>& memory) {
    return decode_step(
        config, stack, torch::full({1, 1}, 5 + past), &cache, past, memory);
  }

  // The second of two tokens behind a change of the model, with the memory of
  // the first and without.
  static void expect_fresh(const DecoderConfig& config,
                           const Change& change,
                           c10::ScalarType dtype = at::kFloat,
                           bool changes = true) {
    const c10::InferenceMode inference;
    const auto stack = std::make_shared<DecoderStack>(config, dtype);
    fill_decoder(*stack, Int8Compute::Group32, tests::StepWeights::Intx, dtype);
    const KvCache kept = cache_of(config);
    const KvCache fresh = cache_of(config);
    const KvCache before = cache_of(config);
    std::shared_ptr<StepMemory> memory, other, none, third;
    token(config, *stack, kept, 0, memory);
    token(config, *stack, fresh, 0, other);
    token(config, *stack, before, 0, third);
    const at::Tensor unchanged = token(config, *stack, before, 1, third);
    change(*stack);
    const at::Tensor found = token(config, *stack, kept, 1, memory);
    const at::Tensor truth = token(config, *stack, fresh, 1, none);
    EXPECT_TRUE(torch::equal(found, truth));
    EXPECT_EQ(torch::equal(found, unchanged), !changes);
  }

  static void each_named(DecoderStack& stack,
                         const std::string& part,
                         const std::function<at::Tensor(at::Tensor)>& value) {
    for (const Parameter& parameter : parameters_of(stack)) {
      if (parameter.places.front().name().find(part) == std::string::npos) {
        continue;
      }
      const at::Tensor changed = value(parameter.tensor);
      if (!changed.defined()) continue;
      for (const ParameterPlace& place : parameter.places) place.put(changed);
    }
  }

  static at::Tensor twice(const at::Tensor& w) {
    return packed_weight(
        to_quantized_tensor(
            mantissa::dequantize(w) * 2,
            tests::step_encoding(w.sizes().vec(), tests::StepWeights::Intx)),
        Int8Compute::Group32);
  }
};

TEST_F(StepMemoryTest, OtherWeightsAreSeen) {
  for (const char* part : {"2.self_attn.q_proj", "0.mlp.down_proj", "1.mlp"}) {
    expect_fresh(small_decoder(),
                 [&](DecoderStack& stack) { each_named(stack, part, twice); });
    // Where the same tensor holds another weight.
    expect_fresh(small_decoder(), [&](DecoderStack& stack) {
      each_named(stack, part, [](const at::Tensor& w) {
        w.set_data(twice(w));
        return at::Tensor();
      });
    });
    // Plain ones are their modules'.
    expect_fresh(small_decoder(), [&](DecoderStack& stack) {
      each_named(stack, part, [](const at::Tensor& w) {
        return mantissa::dequantize(w) * 2;
      });
    });
  }
}

TEST_F(StepMemoryTest, OtherNormsAndBiasesAreSeen) {
  DecoderConfig config = small_decoder();
  config.qkv_bias = config.output_bias = config.mlp_bias = true;
  config.qk_norm = true;
  for (const c10::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    for (const char* part : {"1.input_layernorm",
                             "2.self_attn.k_norm",
                             "0.self_attn.v_proj.bias",
                             "1.mlp.down_proj.bias"}) {
      expect_fresh(
          config,
          [&](DecoderStack& stack) {
            each_named(stack, part, [](const at::Tensor& v) { return v * 3; });
          },
          dtype);
      expect_fresh(
          config,
          [&](DecoderStack& stack) {
            each_named(stack, part, [](const at::Tensor& v) {
              v.mul_(3);
              return at::Tensor();
            });
          },
          dtype);
    }
    expect_fresh(
        config,
        [&](DecoderStack& stack) { stack.norm().weight().mul_(3); },
        dtype);
  }
}

// The tensors stay, with another dtype.
TEST_F(StepMemoryTest, AnotherDtypeIsSeen) {
  DecoderConfig config = small_decoder();
  config.qkv_bias = true;
  expect_fresh(config, [](DecoderStack& stack) {
    each_named(stack, "1.self_attn.v_proj.bias", [](const at::Tensor& v) {
      v.set_data(v.to(at::kBFloat16));
      return at::Tensor();
    });
  });
  expect_fresh(config, [](DecoderStack& stack) { stack.to(at::kBFloat16); });
  expect_fresh(
      config,
      [](DecoderStack& stack) { stack.to(at::kFloat); },
      at::kBFloat16,
      /*changes=*/false);
}

TEST_F(StepMemoryTest, ATransposedWeightIsSeen) {
  expect_fresh(small_decoder(), [](DecoderStack& stack) {
    each_named(stack, "1.self_attn.q_proj", [](const at::Tensor& w) {
      w.set_data(w.t());
      return at::Tensor();
    });
  });
}

TEST_F(StepMemoryTest, AnotherModelIsSeen) {
  const c10::InferenceMode inference;
  const DecoderConfig config = small_decoder();
  DecoderConfig wider = config;
  wider.intermediate = 224;
  const KvCache cache = cache_of(config);
  std::shared_ptr<StepMemory> memory;
  for (const DecoderConfig& each : {config, wider, config}) {
    const auto stack = std::make_shared<DecoderStack>(each, at::kFloat);
    fill_decoder(*stack, Int8Compute::Group32);
    const KvCache other = cache_of(config);
    std::shared_ptr<StepMemory> fresh;
    EXPECT_TRUE(torch::equal(token(each, *stack, cache, 0, memory),
                             token(each, *stack, other, 0, fresh)));
  }
}

// A tensor of InferenceMode is not written outside it.
TEST_F(StepMemoryTest, InferenceModeMayEnd) {
  DecoderConfig config = small_decoder();
  config.experts = {.experts = 6, .experts_per_token = 2, .intermediate = 64};
  config.layers[1].experts = true;
  const auto stack = std::make_shared<DecoderStack>(config, at::kFloat);
  fill_decoder(*stack, Int8Compute::Group32);
  const KvCache cache = cache_of(config);
  std::shared_ptr<StepMemory> memory;
  {
    const c10::InferenceMode inference;
    token(config, *stack, cache, 0, memory);
  }
  const at::NoGradGuard no_grad;
  EXPECT_TRUE(token(config, *stack, cache, 1, memory).defined());
}

TEST_F(StepMemoryTest, AnglesAreThoseOfTheirPositions) {
  RopeConfig llama3;
  llama3.type = RopeType::Llama3;
  llama3.factor = 8;
  llama3.original_positions = 8192;
  const std::vector<Rope> ropes = {Rope({}, 64), Rope(llama3, 64)};
  StepAngles angles;
  for (const std::int64_t past : {0, 1, 63, 64, 65, 130, 3, 100000}) {
    angles.take(ropes, past);
    for (std::size_t i = 0; i < ropes.size(); ++i) {
      const RopeAngles one =
          ropes[i].angles(past, 1, at::TensorOptions(at::kFloat));
      const auto same = [](const float* found, const at::Tensor& truth) {
        return torch::equal(
            torch::from_blob(const_cast<float*>(found), {1, 64}), truth);
      };
      EXPECT_TRUE(same(angles.of(i).cos, one.cos)) << past;
      EXPECT_TRUE(same(angles.of(i).sin, one.sin)) << past;
    }
  }
  const std::vector<Rope> others = {Rope(llama3, 64), Rope({}, 64)};
  angles.take(others, 100000);
  EXPECT_TRUE(torch::equal(
      torch::from_blob(const_cast<float*>(angles.of(1).cos), {1, 64}),
      others[1].angles(100000, 1, at::TensorOptions(at::kFloat)).cos));
}

}  // namespace
}  // namespace mantissa
