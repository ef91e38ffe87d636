#include "kernels/hqq_scale.h"

#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace mantissa::kernels {
namespace {

constexpr std::int64_t kGroups = 11;  // a panel, and three groups of another

struct Fit {
  std::vector<float> scale;
  std::vector<float> change;
  std::vector<std::int8_t> codes;
};

// Groups of every kind that a weight has: usual ones, zeros, one outlier,
// values at both ends of float32, and steps of an exact half.
std::vector<float> samples(std::int64_t group) {
  std::mt19937 random(static_cast<unsigned>(group));
  std::normal_distribution<float> real(0.0f, 0.02f);
  std::vector<float> out;
  for (std::int64_t g = 0; g < kGroups; ++g) {
    const float factor = g == 3 ? 1e-30f : g == 4 ? 1e37f : 1.0f;
    for (std::int64_t i = 0; i < group; ++i) out.push_back(real(random) * factor);
    float* const first = out.data() + g * group;
    if (g == 1) std::fill_n(first, group, -0.0f);
    if (g == 2) first[group / 2] = -5.0f;
    if (g == 5) {
      for (std::int64_t i = 0; i < group; ++i) {
        first[i] = static_cast<float>(i % 31 - 15) * 0.5f;
      }
    }
  }
  return out;
}

Fit run(const HqqScaleKernel& kernel,
        const HqqScaleProblem& problem,
        const std::vector<float>& x,
        std::int64_t group) {
  Fit out{std::vector<float>(kGroups),
          std::vector<float>(20, 0.0f),
          std::vector<std::int8_t>(x.size())};
  for (std::int64_t g = 0; g < kGroups; ++g) {
    float largest = 0;
    for (std::int64_t i = 0; i < group; ++i) {
      largest = std::max(
          largest, std::fabs(x[static_cast<std::size_t>(g * group + i)]));
    }
    out.scale[static_cast<std::size_t>(g)] =
        std::max(largest / -problem.low, 0x1p-23f);
  }
  hqq_scale(kernel,
            problem,
            {x.data(), kGroups, group, out.scale.data(), out.change});
  kernel.codes(
      problem,
      {x.data(), kGroups, group, out.scale.data(), out.codes.data()});
  return out;
}

TEST(HqqScaleTest, EveryRowEqualsTheReferenceToTheBit) {
  const HqqScaleKernel& reference = hqq_scale_kernels().back();
  for (const HqqScaleKernel& kernel : hqq_scale_kernels()) {
    if (kernel.refuses({}, host_caps()) != nullptr) continue;
    for (const std::int64_t group : {1,   2,   7,   8,    9,    31,   32,
                                     33,  40,  64,  100,  128,  511,  512,
                                     513, 576, 520, 2049, 4100, 16400}) {
      const std::vector<float> x = samples(group);
      for (int bits = 1; bits <= 8; ++bits) {
        const auto half = static_cast<float>(1 << (bits - 1));
        const HqqScaleProblem problem{-half, half - 1};
        const Fit got = run(kernel, problem, x, group);
        const Fit want = run(reference, problem, x, group);
        const std::string what = std::string(kernel.name) + " group " +
                                 std::to_string(group) + " bits " +
                                 std::to_string(bits);
        EXPECT_EQ(got.scale, want.scale) << what;
        EXPECT_EQ(got.change, want.change) << what;
        EXPECT_EQ(got.codes, want.codes) << what;
      }
    }
  }
}

// The fit is what least squares say: no scale near it has a smaller error for
// the codes that it gives.
TEST(HqqScaleTest, TheScaleFitsItsOwnCodes) {
  constexpr std::int64_t kGroup = 64;
  const HqqScaleProblem problem;
  const std::vector<float> x = samples(kGroup);
  const Fit fit = run(hqq_scale_kernels().front(), problem, x, kGroup);
  for (std::size_t g = 6; g < kGroups; ++g) {
    const auto error = [&](double scale) {
      double sum = 0;
      for (std::size_t i = g * kGroup; i < (g + 1) * kGroup; ++i) {
        const double off = x[i] - fit.codes[i] * scale;
        sum += off * off;
      }
      return sum;
    };
    const double scale = fit.scale[g];
    EXPECT_LE(error(scale), error(scale * 1.001));
    EXPECT_LE(error(scale), error(scale * 0.999));
  }
}

TEST(HqqScaleTest, WhatOverflowsIsTheSameInEveryRow) {
  const float most = std::numeric_limits<float>::max();
  std::vector<float> x(kGroups * 32, most);
  for (std::size_t i = 0; i < x.size(); i += 3) x[i] = -most;
  for (std::size_t i = 64; i < 96; ++i) x[i] = 1.0f;
  const HqqScaleProblem problem;
  const Fit want = run(hqq_scale_kernels().back(), problem, x, 32);
  for (const HqqScaleKernel& kernel : hqq_scale_kernels()) {
    if (kernel.refuses({}, host_caps()) != nullptr) continue;
    const Fit got = run(kernel, problem, x, 32);
    for (std::size_t g = 0; g < kGroups; ++g) {
      EXPECT_TRUE(got.scale[g] == want.scale[g] ||
                  (std::isnan(got.scale[g]) && std::isnan(want.scale[g])))
          << kernel.name << " group " << g;
    }
  }
}

}  // namespace
}  // namespace mantissa::kernels
