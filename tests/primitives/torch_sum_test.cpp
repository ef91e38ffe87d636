#include "primitives/torch_sum.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>
#include <numeric>
#include <vector>

namespace mantissa {
namespace {

TEST(TorchSumTest, CountsEveryValueOnce) {
  for (const std::size_t n :
       {0u, 1u, 7u, 8u, 9u, 31u, 32u, 33u, 511u, 512u, 513u, 9000u}) {
    std::vector<float> values(n);
    std::iota(values.begin(), values.end(), 1.0f);
    double want = 0.0;
    for (const float v : values) want += v;
    EXPECT_NEAR(torch_sum(values), want, want * 1e-6) << n;
    // Small integers add without rounding.
    std::vector<float> ones(n, 1.0f);
    EXPECT_EQ(torch_sum(ones), static_cast<float>(n));
  }
}

RC_GTEST_PROP(TorchSumProperty, StaysWithinTheErrorBound, ()) {
  const auto raw = *rc::gen::container<std::vector<int>>(
      rc::gen::inRange(-1000000, 1000000));
  std::vector<float> values;
  double want = 0.0;
  double magnitude = 0.0;
  for (const int v : raw) {
    values.push_back(static_cast<float>(v) * 0.37f);
    want += values.back();
    magnitude += std::fabs(values.back());
  }
  // Each value passes at most 4 + 16 + 4 + 3 + 8 additions here.
  RC_ASSERT(std::fabs(torch_sum(values) - want) <= 35 * 0x1p-24 * magnitude);
}

}  // namespace
}  // namespace mantissa
