// What a prompt takes beside products: attention and the operations on rows,
// against their formulas in float64.
#include <cmath>
#include <limits>
#include <tuple>

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "torch/models/attention.h"
#include "torch/models/feed_forward.h"
#include "torch/models/row_ops.h"
#include "torch/quantize/module_parameters.h"

namespace mantissa {
namespace {

constexpr std::int64_t kHeads = 6;
constexpr std::int64_t kKvHeads = 2;

DecoderConfig small(std::int64_t head_dim) {
  DecoderConfig config;
  config.hidden = 36;
  config.intermediate = 50;
  config.heads = kHeads;
  config.kv_heads = kKvHeads;
  config.head_dim = head_dim;
  config.attention_scale = 0.3;
  config.layers.resize(1);
  return config;
}

void fill(torch::nn::Module& module) {
  for (const Parameter& parameter : parameters_of(module)) {
    const at::Tensor value = torch::randn(parameter.tensor.sizes()) * 0.3;
    for (const ParameterPlace& place : parameter.places) place.put(value);
  }
}

// Angles that turn nothing.
RopeAngles still(std::int64_t tokens, std::int64_t head_dim) {
  return {torch::ones({tokens, head_dim}), torch::zeros({tokens, head_dim})};
}

at::Tensor heads_of(const LinearPtr& linear,
                    const at::Tensor& x,
                    std::int64_t head_dim) {
  return torch::matmul(x, linear->weight.to(at::kDouble).t())
      .view({x.size(0), x.size(1), -1, head_dim})
      .transpose(1, 2);
}

// All of x attends; the last `queries` positions are given.
at::Tensor formula(const DecoderConfig& config,
                   const Attention& attention,
                   const at::Tensor& x,
                   std::int64_t queries) {
  const at::Tensor wide = x.to(at::kDouble);
  const auto of = [&](const LinearPtr& linear) {
    return heads_of(linear, wide, config.head_dim);
  };
  const at::Tensor q = of(attention.q());
  const at::Tensor k =
      of(attention.k()).repeat_interleave(kHeads / kKvHeads, 1);
  const at::Tensor v =
      of(attention.v()).repeat_interleave(kHeads / kKvHeads, 1);
  at::Tensor scores =
      torch::matmul(q, k.transpose(2, 3)) * config.attention_scale;
  if (config.attention_cap > 0) {
    scores = (scores / config.attention_cap).tanh() * config.attention_cap;
  }
  const at::Tensor i = torch::arange(x.size(1)).unsqueeze(1);
  const at::Tensor j = torch::arange(x.size(1));
  at::Tensor hidden = j > i;
  if (attention.window() > 0) {
    hidden = hidden.logical_or(j <= i - attention.window());
  }
  scores = scores.masked_fill(hidden, -std::numeric_limits<double>::infinity());
  const at::Tensor y = torch::matmul(scores.softmax(-1), v)
                           .transpose(1, 2)
                           .reshape({x.size(0), x.size(1), -1});
  return torch::matmul(y, attention.o()->weight.to(at::kDouble).t())
      .narrow(1, x.size(1) - queries, queries);
}

using Case = std::tuple<std::int64_t, double>;  // window, cap

class PromptAttentionTest : public ::testing::TestWithParam<Case> {};

TEST_P(PromptAttentionTest, IsTheFormulaForEveryLength) {
  torch::manual_seed(5);
  const c10::InferenceMode inference;
  for (const std::int64_t head_dim : {16, 20}) {
    DecoderConfig config = small(head_dim);
    config.attention_cap = std::get<1>(GetParam());
    config.layers[0].window = std::get<0>(GetParam());
    Attention attention(config, config.layers[0], at::kFloat);
    fill(attention);
    for (const std::int64_t past : {0, 1, 70}) {
      for (const std::int64_t fresh : {1, 2, 63, 64, 65, 130, 300}) {
        const at::Tensor x = torch::randn({2, past + fresh, config.hidden});
        KvCache cache(config, 2, past + fresh, at::TensorOptions(at::kFloat));
        const auto run = [&](std::int64_t begin, std::int64_t count) {
          return attention.forward(x.narrow(1, begin, count),
                                   still(count, head_dim),
                                   &cache.layer(0),
                                   begin);
        };
        if (past > 0) run(0, past);
        const at::Tensor found = run(past, fresh);
        const at::Tensor want = formula(config, attention, x, fresh);
        EXPECT_LT((found - want).abs().max().item<double>(),
                  2e-6 * want.abs().max().item<double>())
            << past << " and " << fresh << " of " << head_dim;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Windows,
                         PromptAttentionTest,
                         ::testing::Values(Case{0, 0.0},
                                           Case{1, 0.0},
                                           Case{20, 0.0},
                                           Case{150, 0.0},
                                           Case{0, 2.0},
                                           Case{20, 2.0}));

TEST(RowOpsTest, NormsAndGatesAreTheFormulas) {
  torch::manual_seed(6);
  for (const std::int64_t size : {1, 7, 8, 36, 576}) {
    const at::Tensor x = torch::randn({3, 5, size}) * 4;
    const at::Tensor weight = torch::randn({size});
    const at::Tensor wide = x.to(at::kDouble);
    const at::Tensor normed =
        wide * (wide.square().mean(-1, true) + 1e-5).rsqrt();
    for (const bool one_plus : {false, true}) {
      const at::Tensor want =
          normed * (weight.to(at::kDouble) + (one_plus ? 1 : 0));
      const at::Tensor found = rms_norm_rows(x, weight, 1e-5, one_plus);
      EXPECT_TRUE(torch::allclose(found.to(at::kDouble), want, 1e-6, 1e-7));
    }
    const at::Tensor up = torch::randn({3, 5, size});
    const at::Tensor gate = x.clone();
    silu_rows(gate, up);
    EXPECT_TRUE(torch::allclose(
        gate.to(at::kDouble), wide * torch::sigmoid(wide) * up, 1e-6, 1e-7));
  }
}

TEST(RowOpsTest, HeadsTurnAsByAten) {
  torch::manual_seed(8);
  for (const std::int64_t size : {2, 6, 16, 20, 64, 128}) {
    const at::Tensor x = torch::randn({2, 9, 3, size});
    const RopeAngles angles = {torch::randn({9, size}),
                               torch::randn({9, size})};
    const at::Tensor want = rotate(x.transpose(1, 2), angles).transpose(1, 2);
    rotate_rows(x, angles.cos, angles.sin);
    EXPECT_TRUE(torch::equal(x, want)) << size;
  }
}

TEST(RowOpsTest, ARowThatIsNotFiniteSpoilsItselfAlone) {
  at::Tensor x = torch::ones({4, 16});
  x[1][3] = std::numeric_limits<float>::quiet_NaN();
  x[2][5] = std::numeric_limits<float>::infinity();
  const at::Tensor y = rms_norm_rows(x, torch::ones({16}), 1e-5, false);
  EXPECT_TRUE(y[1].isnan().all().item<bool>());
  EXPECT_TRUE(y[2][5].isnan().item<bool>());
  EXPECT_TRUE(y[0].isfinite().all().item<bool>());
  EXPECT_TRUE(y[3].isfinite().all().item<bool>());
}

TEST(RowOpsTest, TakeWhatTheyCanRead) {
  const at::Tensor x = torch::randn({4, 8});
  EXPECT_TRUE(takes_row_ops(x));
  EXPECT_FALSE(takes_row_ops(x.t()));
  EXPECT_FALSE(takes_row_ops(x.to(at::kBFloat16)));
  EXPECT_FALSE(takes_row_ops(x.clone().requires_grad_()));
  const c10::InferenceMode inference;
  EXPECT_TRUE(takes_row_ops(torch::randn({4, 8})));
}

// Gradients flow where a module is trained.
TEST(RowOpsTest, AGatedBlockDifferentiates) {
  torch::manual_seed(7);
  GatedMlp block(small(16), at::kFloat);
  fill(block);
  const at::Tensor x = torch::randn({2, 3, 36});
  at::Tensor plain;
  {
    const c10::InferenceMode inference;
    plain = block.forward(x);
  }
  const at::Tensor with = x.clone().requires_grad_();
  const at::Tensor y = block.forward(with);
  EXPECT_LT((y - plain).abs().max().item<double>(),
            1e-6 * y.abs().max().item<double>());
  y.sum().backward();
  EXPECT_TRUE(with.grad().defined());
}

}  // namespace
}  // namespace mantissa
