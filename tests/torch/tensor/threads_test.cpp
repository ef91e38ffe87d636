// One quantized module run by several threads at once; `make tsan` builds this
// under ThreadSanitizer.
#include <atomic>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <mantissa/configs/registry.h>
#include <mantissa/torch/fake_quantize.h>
#include <mantissa/torch/quantize.h>

#include "torch/tensor/weights.h"

namespace mantissa {
namespace {

constexpr int kThreads = 4;
constexpr int kRounds = 20;

// How many of the calls, kRounds in each thread, return false.
int failures(const std::function<bool()>& call) {
  std::vector<std::thread> threads;
  std::atomic<int> wrong = 0;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < kRounds; ++n) {
        if (!call()) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  return wrong;
}

class ThreadsTest : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    torch::manual_seed(9);
    quantize_(*net_, parse_config_words(GetParam()));
    ASSERT_TRUE(is_quantized_tensor(net_[0]->as<torch::nn::Linear>()->weight));
  }

  torch::nn::Sequential net_{
      torch::nn::Linear(128, 64), torch::nn::ReLU(), torch::nn::Linear(64, 32)};
  const at::Tensor x_ = torch::randn({4, 128});
};

TEST_P(ThreadsTest, ManyRunOneModule) {
  const at::Tensor expected = net_->forward(x_).detach();
  EXPECT_EQ(failures([&] {
              const c10::InferenceMode inference;
              return torch::equal(net_->forward(x_), expected);
            }),
            0);
}

TEST_P(ThreadsTest, ManyDifferentiateToTheirInputs) {
  const auto gradient = [&] {
    const at::Tensor x = x_.clone().requires_grad_();
    const at::Tensor y = net_->forward(x).sum();
    return torch::autograd::grad({y}, {x})[0];
  };
  const at::Tensor expected = gradient();
  EXPECT_EQ(failures([&] { return torch::equal(gradient(), expected); }), 0);
}

// Views, copies, what has no rule, and the counts that it leaves.
TEST_P(ThreadsTest, ManyTakeTheWeightApart) {
  const at::Tensor w = net_[0]->as<torch::nn::Linear>()->weight;
  const at::Tensor values = mantissa::dequantize(w);
  reset_fallback_counts();
  EXPECT_EQ(failures([&] {
              const torch::NoGradGuard no_grad;
              return torch::equal(w * 2, values * 2) &&
                     torch::equal(mantissa::dequantize(w.clone()), values) &&
                     torch::equal(mantissa::dequantize(w.slice(0, 0, 32)),
                                  values.slice(0, 0, 32)) &&
                     !fallback_counts().empty() && !describe(w).empty();
            }),
            0);
  for (const auto& [name, count] : fallback_counts()) {
    EXPECT_EQ(count, kThreads * kRounds) << name;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Configs,
    ThreadsTest,
    ::testing::Values("int8_weight_only",
                      "int8_dynamic_activation_int8_weight",
                      "int8_dynamic_activation_intx_weight:weight_dtype=int4",
                      "int4_weight_only:group_size=32",
                      "float8_dynamic_activation_float8_weight"));

TEST(Threads, ManyRunOneTrainingWeight) {
  const at::Tensor w = fake_quantized_tensor(
      torch::randn({32, 64}), tests::int8_encoding({32, 64}, DType::Float32));
  const at::Tensor x = torch::randn({4, 64});
  const auto gradient = [&] {
    return torch::autograd::grad({at::linear(x, w).sum()}, {w})[0];
  };
  const at::Tensor expected = gradient();
  EXPECT_EQ(failures([&] { return torch::equal(gradient(), expected); }), 0);
}

}  // namespace
}  // namespace mantissa
