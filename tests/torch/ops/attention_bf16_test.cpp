#include "torch/ops/attention_bf16.h"

#include <cmath>
#include <limits>

#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include "kernels/caps.h"

namespace mantissa {
namespace {

using at::Tensor;

#define NEEDS_AVX512BF16()                               \
  if (!kernels::host_caps().avx512bf16) {                \
    GTEST_SKIP() << "needs AVX-512 BF16, VBMI and GFNI"; \
  }

// Heads of a position behind each other, as products leave them.
Tensor heads(std::int64_t batch,
             std::int64_t count,
             std::int64_t positions,
             std::int64_t dim) {
  return torch::randn({batch, positions, count, dim})
      .to(at::kBFloat16)
      .transpose(1, 2);
}

// As a cache has room for more.
Tensor cached(std::int64_t batch,
              std::int64_t count,
              std::int64_t positions,
              std::int64_t dim) {
  return torch::randn({batch, count, positions + 9, dim})
      .to(at::kBFloat16)
      .narrow(2, 0, positions);
}

// Weights of the formula, float64.
Tensor weights_of(const Tensor& q,
                  const Tensor& k,
                  const CausalAttention& options) {
  const std::int64_t sharing = q.size(1) / k.size(1);
  Tensor s =
      torch::matmul(
          q.to(at::kDouble),
          k.to(at::kDouble).repeat_interleave(sharing, 1).transpose(2, 3)) *
      options.scale;
  if (options.cap > 0) s = (s / options.cap).tanh() * options.cap;
  const Tensor i = torch::arange(k.size(2) - q.size(2), k.size(2)).unsqueeze(1);
  const Tensor j = torch::arange(k.size(2));
  Tensor hidden = j > i;
  if (options.window > 0) hidden = hidden.logical_or(j <= i - options.window);
  return s.masked_fill(hidden, -std::numeric_limits<double>::infinity())
      .softmax(-1);
}

// Weights are rounded to bfloat16; the rest is small beside that.
void expect_formula(const Tensor& q,
                    const Tensor& k,
                    const Tensor& v,
                    const CausalAttention& options) {
  const Tensor y = attention_bf16(q, k, v, options);
  ASSERT_EQ(y.sizes(), q.sizes());
  EXPECT_TRUE(y.transpose(1, 2).is_contiguous());
  const Tensor w = weights_of(q, k, options);
  const Tensor wide =
      v.to(at::kDouble).repeat_interleave(q.size(1) / v.size(1), 1);
  const Tensor want = torch::matmul(w, wide);
  const Tensor off = (wide.unsqueeze(2) - want.unsqueeze(3)).abs();
  const Tensor bound = (w.unsqueeze(-1) * off).sum(3) * 0x1p-8 * 1.05 + 1e-6;
  const Tensor error = (y.to(at::kDouble) - want).abs();
  EXPECT_TRUE((error <= bound).all().item<bool>())
      << (error / bound).max().item<double>();
}

TEST(AttentionBf16OpTest, IsTheFormula) {
  NEEDS_AVX512BF16();
  torch::manual_seed(3);
  for (const std::int64_t past : {0, 1, 100}) {
    for (const std::int64_t fresh : {6, 7, 63, 130}) {
      for (const std::int64_t window : {0, 1, 40}) {
        const Tensor q = heads(2, 6, fresh, 20).to(at::kFloat);
        const CausalAttention options = {window, 0.3, window == 1 ? 5.0 : 0.0};
        expect_formula(q,
                       cached(2, 2, past + fresh, 20),
                       cached(2, 2, past + fresh, 20),
                       options);
      }
    }
  }
  const Tensor q = heads(1, 4, 70, 64).to(at::kFloat);
  expect_formula(q, heads(1, 4, 70, 64), heads(1, 4, 70, 64), {0, 0.125, 0});
}

TEST(AttentionBf16OpTest, AnyNumberOfThreadsGivesTheSameBytes) {
  NEEDS_AVX512BF16();
  torch::manual_seed(4);
  const int before = at::get_num_threads();
  for (const std::int64_t fresh : {6, 100}) {
    const Tensor q = heads(2, 3, fresh, 16).to(at::kFloat);
    const Tensor k = cached(2, 3, fresh + 70, 16);
    const Tensor v = cached(2, 3, fresh + 70, 16);
    at::set_num_threads(1);
    const Tensor want = attention_bf16(q, k, v, {0, 0.25, 0});
    for (const int threads : {2, 3, 7, 64}) {
      at::set_num_threads(threads);
      EXPECT_TRUE(torch::equal(attention_bf16(q, k, v, {0, 0.25, 0}), want))
          << threads;
    }
  }
  at::set_num_threads(before);
}

TEST(AttentionBf16OpTest, QueriesOfBfloat16GiveTheirDtype) {
  NEEDS_AVX512BF16();
  torch::manual_seed(5);
  const Tensor q = heads(1, 2, 9, 16);
  const Tensor k = heads(1, 1, 9, 16);
  const Tensor y = attention_bf16(q, k, k, {0, 0.25, 0});
  EXPECT_TRUE(torch::equal(
      y,
      attention_bf16(q.to(at::kFloat), k, k, {0, 0.25, 0}).to(at::kBFloat16)));
}

TEST(AttentionBf16OpTest, TakesWhatTheKernelsDo) {
  const Tensor k = heads(1, 2, 9, 16);
  const Tensor q = heads(1, 4, 9, 16).to(at::kFloat);
  const auto takes = [&](const Tensor& of, const Tensor& keys) {
    return takes_attention_bf16(of, keys, keys, {0, 0.25, 0});
  };
  EXPECT_EQ(takes(q, k), kernels::host_caps().avx512bf16);
  EXPECT_FALSE(takes(q, k.to(at::kFloat)));
  EXPECT_FALSE(takes(q.to(at::kHalf), k));
  EXPECT_FALSE(takes(q.narrow(2, 0, 5), k));
  EXPECT_FALSE(takes(q.narrow(3, 0, 15), k.narrow(3, 0, 15)));
  EXPECT_FALSE(takes(q.clone().requires_grad_(), k));
  EXPECT_FALSE(takes_attention_bf16(q, k, k, {0, -1.0, 0}));
}

}  // namespace
}  // namespace mantissa
