#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <mantissa/torch/fake_quantize.h>
#include <mantissa/torch/quantize.h>

#include "torch/refusal.h"
#include "torch/tensor/weights.h"

namespace mantissa {
namespace {

using ::testing::HasSubstr;
using tests::refusal;

// A Linear [6, 8] whose weight trains through int8, and its plain twin.
class TrainingTensorTest : public ::testing::Test {
 protected:
  void SetUp() override {
    torch::manual_seed(3);
    linear_ = torch::nn::Linear(8, 6);
    values_ = linear_->weight.detach().clone();
    put(values_);
    x_ = torch::randn({4, 8}).requires_grad_();
  }

  void put(const at::Tensor& values) {
    replace_parameter(
        *linear_,
        linear_->weight,
        fake_quantized_tensor(values,
                              tests::int8_encoding({6, 8}, DType::Float32)));
  }

  at::Tensor rounded() const {
    return mantissa::dequantize(to_quantized_tensor(
        values_, tests::int8_encoding({6, 8}, DType::Float32)));
  }

  torch::nn::Linear linear_ = nullptr;
  at::Tensor values_;  // shared with the weight
  at::Tensor x_;
};

TEST_F(TrainingTensorTest, ForwardRoundsAndBackwardPassesStraightThrough) {
  const at::Tensor y = linear_->forward(x_);
  EXPECT_TRUE(torch::allclose(y, at::linear(x_, rounded(), linear_->bias)));
  const at::Tensor g = torch::randn_like(y);
  y.backward(g);
  EXPECT_TRUE(torch::allclose(x_.grad(), g.mm(rounded()), 1e-5, 1e-6));
  EXPECT_TRUE(torch::allclose(
      linear_->weight.grad(), g.t().mm(x_.detach()), 1e-5, 1e-6));
  EXPECT_TRUE(torch::allclose(linear_->bias.grad(), g.sum(0)));
  EXPECT_FALSE(is_quantized_tensor(linear_->weight.grad()));
  // Twice: gradients add up in place.
  const at::Tensor once = linear_->weight.grad().clone();
  linear_->forward(x_).backward(g);
  EXPECT_TRUE(torch::allclose(linear_->weight.grad(), 2 * once, 1e-5, 1e-6));
}

TEST_F(TrainingTensorTest, ThreeDimensionsAndViewsReachTheLeaf) {
  const at::Tensor batch = torch::randn({2, 3, 8});
  linear_->forward(batch).sum().backward();
  const at::Tensor by_linear = linear_->weight.grad().clone();
  linear_->zero_grad();
  batch.matmul(linear_->weight.t()).sum().backward();
  EXPECT_TRUE(torch::allclose(linear_->weight.grad(), by_linear, 1e-5, 1e-6));
  linear_->zero_grad();
  (linear_->weight.mm(batch.reshape({-1, 8}).t())).sum().backward();
  EXPECT_TRUE(torch::allclose(linear_->weight.grad(), by_linear, 1e-5, 1e-6));
}

TEST_F(TrainingTensorTest, PartsMultiplyWithTheValuesOfTheWhole) {
  const at::Tensor& w = linear_->weight;
  EXPECT_TRUE(torch::allclose(at::linear(x_, w.slice(0, 1, 4)),
                              at::linear(x_, rounded().slice(0, 1, 4))));
  const at::Tensor half = x_.slice(1, 2, 6);
  EXPECT_TRUE(torch::allclose(at::linear(half, w.slice(1, 2, 6)),
                              at::linear(half, rounded().slice(1, 2, 6))));
  EXPECT_TRUE(
      torch::allclose(half.mm(w.t().slice(0, 2, 6).slice(1, 1, 4)),
                      half.mm(rounded().t().slice(0, 2, 6).slice(1, 1, 4))));
  at::linear(x_, w.slice(0, 1, 4)).sum().backward();
  EXPECT_TRUE(torch::allclose(w.grad().slice(0, 1, 4),
                              torch::ones({4, 3}).t().mm(x_.detach())));
  EXPECT_EQ(w.grad()[0].abs().sum().item<float>(), 0);
}

// The product of random rows with a part is that with the same part of the
// rounded weight.
void expect_product(const at::Tensor& part, const at::Tensor& values) {
  ASSERT_EQ(part.sizes(), values.sizes());
  const at::Tensor x = torch::randn({3, part.size(1)});
  EXPECT_TRUE(torch::allclose(at::linear(x, part), at::linear(x, values)))
      << part.sizes();
}

TEST_F(TrainingTensorTest, ViewsOfAnyKindMultiplyWithTheValuesOfTheWhole) {
  const at::Tensor& w = linear_->weight;
  const at::Tensor all = rounded();
  const auto parts = w.split_with_sizes({1, 2, 3});
  const auto values = all.split_with_sizes({1, 2, 3});
  for (std::size_t i = 0; i < 3; ++i) expect_product(parts[i], values[i]);
  expect_product(w.split_with_sizes({3, 5}, 1)[1],
                 all.split_with_sizes({3, 5}, 1)[1]);
  expect_product(w.as_strided({3, 4}, {16, 1}, 2),
                 all.as_strided({3, 4}, {16, 1}, 2));
  expect_product(w.slice(0, 1, 6).as_strided({2, 3}, {1, 8}, 9),
                 all.as_strided({2, 3}, {1, 8}, 9));
  expect_product(w.t().slice(0, 2, 7).slice(1, 1, 3),
                 all.t().slice(0, 2, 7).slice(1, 1, 3));
  // Sizes do not tell which way a square lies.
  const at::Tensor square = torch::randn({8, 8}) * torch::arange(1, 9);
  const auto encoding = tests::int8_encoding({8, 8}, DType::Float32);
  const at::Tensor grid =
      mantissa::dequantize(to_quantized_tensor(square, encoding));
  const at::Tensor wrapped = fake_quantized_tensor(square, encoding);
  expect_product(wrapped.t(), grid.t());
  expect_product(wrapped.detach().t().clone(), grid.t());
  // A weight that is a view itself.
  const at::Tensor turned = fake_quantized_tensor(square.t(), encoding);
  const at::Tensor turned_grid =
      mantissa::dequantize(to_quantized_tensor(square.t(), encoding));
  expect_product(turned.slice(0, 2, 5), turned_grid.slice(0, 2, 5));
  const at::Tensor wide = torch::randn({8, 16});
  const at::Tensor strided =
      fake_quantized_tensor(wide.slice(1, 4, 12), encoding);
  expect_product(
      strided.slice(1, 2, 6),
      mantissa::dequantize(to_quantized_tensor(wide.slice(1, 4, 12), encoding))
          .slice(1, 2, 6));
}

TEST_F(TrainingTensorTest, CopiesOfTheWholeAreWeightsOfTheirOwn) {
  const at::Tensor copy = linear_->weight.detach().clone();
  EXPECT_TRUE(is_training_tensor(copy));
  expect_product(copy, rounded());
  expect_product(linear_->weight.detach().t().clone().t(), rounded());
  const at::Tensor before = linear_->forward(x_).detach();
  {
    const torch::NoGradGuard no_grad;
    copy.mul_(torch::arange(1, 9));
  }
  EXPECT_TRUE(torch::equal(linear_->forward(x_), before));
  const at::Tensor changed = mantissa::dequantize(
      to_quantized_tensor(values_ * torch::arange(1, 9),
                          tests::int8_encoding({6, 8}, DType::Float32)));
  expect_product(copy, changed);
  expect_product(copy.slice(0, 2, 5), changed.slice(0, 2, 5));
  expect_product(copy.to(c10::kDouble).to(c10::kFloat), changed);
}

TEST_F(TrainingTensorTest, CopiesOfPartsAreRefusedWithTheRemedy) {
  const at::Tensor part = linear_->weight.detach().slice(0, 1, 4);
  for (const at::Tensor& copy :
       {part.clone(),
        part.to(c10::kBFloat16).to(c10::kFloat),
        linear_->weight.detach().slice(1, 0, 8, 1).slice(1, 2, 6).contiguous(),
        linear_->weight.detach().split_with_sizes({2, 4})[1].clone()}) {
    const at::Tensor x = torch::randn({2, copy.size(1)});
    EXPECT_THAT(refusal([&] { at::linear(x, copy); }),
                ::testing::AllOf(HasSubstr("a copy of a part of a weight of "
                                           "[6, 8]"),
                                 HasSubstr("fake_quantized_tensor")));
  }
}

TEST_F(TrainingTensorTest, FrozenPartsGetNoGradient) {
  linear_->weight.set_requires_grad(false);
  linear_->forward(x_).sum().backward();
  EXPECT_TRUE(x_.grad().defined());
  EXPECT_FALSE(linear_->weight.grad().defined());
  linear_->weight.set_requires_grad(true);
  linear_->forward(x_.detach()).sum().backward();
  EXPECT_TRUE(linear_->weight.grad().defined());
}

template <class Optimizer, class Options>
void expect_same_steps(torch::nn::Linear& ours,
                       const at::Tensor& values,
                       const Options& options) {
  torch::nn::Linear plain(8, 6);
  {
    const torch::NoGradGuard no_grad;
    plain->weight.copy_(values);
    plain->bias.copy_(ours->bias);
  }
  Optimizer our_steps(ours->parameters(), options);
  Optimizer plain_steps(plain->parameters(), options);
  for (int i = 0; i < 3; ++i) {
    const at::Tensor g = torch::randn({6, 8});
    const at::Tensor gb = torch::randn({6});
    ours->weight.mutable_grad() = g.clone();
    plain->weight.mutable_grad() = g.clone();
    ours->bias.mutable_grad() = gb.clone();
    plain->bias.mutable_grad() = gb.clone();
    our_steps.step();
    plain_steps.step();
  }
  EXPECT_TRUE(torch::equal(values, plain->weight)) << "updated in place";
  EXPECT_TRUE(is_training_tensor(ours->weight));
}

TEST_F(TrainingTensorTest, OptimizersStepAsOnPlainWeights) {
  expect_same_steps<torch::optim::SGD>(
      linear_,
      values_,
      torch::optim::SGDOptions(0.1).momentum(0.9).weight_decay(0.01));
  expect_same_steps<torch::optim::AdamW>(
      linear_, values_, torch::optim::AdamWOptions(0.1).weight_decay(0.01));
}

TEST_F(TrainingTensorTest, InPlaceChangesBetweenForwardAndBackwardAreNoticed) {
  const auto changed = [&](const auto& change) {
    const at::Tensor y = linear_->forward(x_).sum();
    {
      const torch::NoGradGuard no_grad;
      change();
    }
    return refusal([&] { y.backward(); });
  };
  const char* noticed = "modified by an inplace operation";
  EXPECT_THAT(changed([&] { linear_->weight.mul_(2); }), HasSubstr(noticed));
  EXPECT_THAT(changed([&] { at::_foreach_mul_({linear_->weight}, 2.0); }),
              HasSubstr(noticed));
  EXPECT_THAT(changed([&] { values_.mul_(2); }), HasSubstr(noticed));
  linear_->to(c10::kBFloat16);
  linear_->to(c10::kFloat);
  EXPECT_THAT(changed([&] { linear_->weight.t().mul_(2); }),
              HasSubstr(noticed));
}

TEST_F(TrainingTensorTest, ModulesMoveIt) {
  const auto* before = linear_->weight.unsafeGetTensorImpl();
  linear_->to(c10::kBFloat16);
  EXPECT_EQ(linear_->weight.unsafeGetTensorImpl(), before);
  EXPECT_EQ(linear_->weight.scalar_type(), c10::kBFloat16);
  EXPECT_TRUE(is_training_tensor(linear_->weight));
  EXPECT_TRUE(linear_->weight.is_leaf());
  linear_->forward(torch::randn({4, 8}).to(c10::kBFloat16)).sum().backward();
  EXPECT_EQ(linear_->weight.grad().scalar_type(), c10::kBFloat16);
  linear_->weight.set_data(linear_->weight.to(c10::kMeta));
  EXPECT_TRUE(linear_->weight.is_meta());
  EXPECT_TRUE(is_training_tensor(linear_->weight));
}

TEST_F(TrainingTensorTest, DequantizeIsDifferentiable) {
  const at::Tensor values = mantissa::dequantize(linear_->weight);
  EXPECT_TRUE(torch::equal(values, values_));
  (values * 3).sum().backward();
  EXPECT_TRUE(torch::equal(linear_->weight.grad(), torch::full({6, 8}, 3.0)));
  EXPECT_FALSE(values_.requires_grad());
}

TEST_F(TrainingTensorTest, SavesItsValuesNotItself) {
  EXPECT_THAT(refusal([&] {
                std::ostringstream out;
                torch::save(linear_, out);
              }),
              HasSubstr("mantissa::dequantize_(module)"));
  std::stringstream plain_file;
  torch::nn::Linear plain(8, 6);
  torch::save(plain, plain_file);
  torch::load(linear_, plain_file);
  EXPECT_TRUE(torch::equal(values_, plain->weight));
  EXPECT_TRUE(is_training_tensor(linear_->weight));
}

TEST_F(TrainingTensorTest, GradientsAreClipped) {
  linear_->forward(x_).sum().backward();
  torch::nn::utils::clip_grad_norm_(linear_->parameters(), 0.1);
  EXPECT_LT(torch::nn::utils::clip_grad_norm_(linear_->parameters(), 1.0),
            0.1001);
}

}  // namespace
}  // namespace mantissa
