#include "torch/ops/linear_plain.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

namespace mantissa {
namespace {

// Few rows take the weight as it lies, many a block of it at a time.
TEST(LinearPlainTest, Bfloat16WeightsTakeFloat32Rows) {
  torch::manual_seed(1);
  const at::Tensor weight = torch::randn({5000, 32}).to(at::kBFloat16);
  const at::Tensor values = weight.to(at::kDouble);
  for (const std::int64_t m : {0, 1, 4, 5, 70}) {
    const at::Tensor x = torch::randn({m, 32});
    const at::Tensor y = linear_plain(x, weight);
    EXPECT_EQ(y.scalar_type(), at::kFloat);
    EXPECT_EQ(y.sizes(), at::IntArrayRef({m, 5000}));
    EXPECT_TRUE(torch::allclose(
        y.to(at::kDouble), x.to(at::kDouble).mm(values.t()), 1e-5, 1e-5))
        << m;
  }
  EXPECT_EQ(linear_plain(torch::randn({1, 2, 32}), weight).sizes(),
            at::IntArrayRef({1, 2, 5000}));
  EXPECT_THROW(linear_plain(torch::randn({2, 16}), weight), c10::Error);
}

TEST(LinearPlainTest, GradientsReachTheInputOfAnyNumberOfRows) {
  torch::manual_seed(2);
  const at::Tensor weight = torch::randn({40, 32}).to(at::kBFloat16);
  for (const std::int64_t m : {1, 6}) {
    const at::Tensor x = torch::randn({m, 32}).requires_grad_();
    linear_plain(x, weight).sum().backward();
    EXPECT_TRUE(torch::allclose(
        x.grad(), weight.to(at::kFloat).sum(0).expand({m, 32}), 1e-4, 1e-4));
  }
}

}  // namespace
}  // namespace mantissa
