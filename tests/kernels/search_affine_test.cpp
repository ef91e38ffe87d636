#include "kernels/search_affine.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <mantissa/primitives/affine.h>

#include "kernels/common/element_dtype.h"

namespace mantissa::kernels {
namespace {

struct Found {
  std::vector<float> scale;
  std::vector<float> zero;
  std::vector<float> error;
};

std::vector<float> samples(std::int64_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> real(0.01f, 0.05f);
  std::vector<float> out(static_cast<std::size_t>(count));
  for (float& v : out) v = real(random);
  return out;
}

SearchAffineProblem problem_of(int bits, bool symmetric, Element stored) {
  return {stored, symmetric, -(1 << (bits - 1)), (1 << (bits - 1)) - 1};
}

// The range of a group's values, as formats without a search take it.
void start(const SearchAffineProblem& problem,
           const float* x,
           std::int64_t group,
           float& scale,
           float& zero) {
  float low = 0;
  float high = 0;
  for (std::int64_t i = 0; i < group; ++i) {
    low = std::min(low, x[i]);
    high = std::max(high, x[i]);
  }
  const auto steps = static_cast<float>(problem.high - problem.low);
  const float span = problem.symmetric ? 2 * std::max(-low, high) : high - low;
  scale = round_to(to_dtype(problem.stored), span / steps);
  if (scale == 0) scale = 1;
  zero =
      problem.symmetric
          ? 0
          : std::clamp(std::rint(static_cast<float>(problem.low) - low / scale),
                       static_cast<float>(problem.low),
                       static_cast<float>(problem.high));
}

Found run(const SearchAffineKernel& kernel,
          const SearchAffineProblem& problem,
          const float* x,
          std::int64_t groups,
          std::int64_t group,
          const float* weights = nullptr,
          std::int64_t period = 1) {
  const auto count = static_cast<std::size_t>(groups);
  Found out{std::vector<float>(count),
            std::vector<float>(count),
            std::vector<float>(count)};
  for (std::size_t g = 0; g < count; ++g) {
    start(problem,
          x + static_cast<std::int64_t>(g) * group,
          group,
          out.scale[g],
          out.zero[g]);
  }
  search_affine(kernel,
                problem,
                {x,
                 groups,
                 group,
                 weights,
                 period,
                 out.scale.data(),
                 out.zero.data(),
                 out.error.data()});
  return out;
}

double error_of(const SearchAffineProblem& problem,
                const float* x,
                const float* weights,
                std::int64_t group,
                double scale,
                double zero) {
  double sum = 0;
  for (std::int64_t i = 0; i < group; ++i) {
    const double code = std::clamp(std::rint(x[i] / scale + zero),
                                   static_cast<double>(problem.low),
                                   static_cast<double>(problem.high));
    const double off = x[i] - (code - zero) * scale;
    sum += off * off * (weights == nullptr ? 1.0 : weights[i]);
  }
  return sum;
}

// The least error over many scales and every zero point, in double.
double dense_minimum(const SearchAffineProblem& problem,
                     const float* x,
                     std::int64_t group) {
  float scale = 0;
  float zero = 0;
  start(problem, x, group, scale, zero);
  double best = std::numeric_limits<double>::infinity();
  for (int step = 0; step <= 120; ++step) {
    const double s = scale * (0.5 + 0.005 * step);
    for (int z = problem.low; z <= problem.high; ++z) {
      if (problem.symmetric && z != 0) continue;
      best = std::min(best, error_of(problem, x, nullptr, group, s, z));
    }
  }
  return best;
}

TEST(SearchAffineTest, EveryRowEqualsTheReferenceToTheBit) {
  const SearchAffineKernel& reference = search_affine_kernels().back();
  for (const SearchAffineKernel& kernel : search_affine_kernels()) {
    if (kernel.refuses({}, host_caps()) != nullptr) continue;
    for (const std::int64_t group : {1, 7, 8, 9, 32, 33, 64, 576}) {
      const std::vector<float> x = samples(6 * group + 1, 3);
      std::vector<float> weights = samples(2 * group + 1, 4);
      for (float& w : weights) w *= w;
      for (int bits = 1; bits <= 8; ++bits) {
        for (const bool symmetric : {true, false}) {
          for (const float* w :
               {static_cast<const float*>(nullptr),
                static_cast<const float*>(weights.data() + 1)}) {
            const Element stored = static_cast<Element>(bits % 3);
            const auto problem = problem_of(bits, symmetric, stored);
            const Found got =
                run(kernel, problem, x.data() + 1, 6, group, w, 2);
            const Found want =
                run(reference, problem, x.data() + 1, 6, group, w, 2);
            const std::string what = std::string(kernel.name) + " group " +
                                     std::to_string(group) + " bits " +
                                     std::to_string(bits);
            EXPECT_EQ(got.scale, want.scale) << what;
            EXPECT_EQ(got.zero, want.zero) << what;
            EXPECT_EQ(got.error, want.error) << what;
          }
        }
      }
    }
  }
}

// Judge: an exhaustive search in double.
TEST(SearchAffineTest, ComesCloseToAnExhaustiveSearch) {
  constexpr std::int64_t kGroups = 40;
  for (const std::int64_t group : {32, 64}) {
    const std::vector<float> x = samples(kGroups * group, 5);
    for (int bits = 2; bits <= 5; ++bits) {
      for (const bool symmetric : {true, false}) {
        const auto problem = problem_of(bits, symmetric, Element::F32);
        const Found found = run(
            search_affine_kernels().back(), problem, x.data(), kGroups, group);
        double sum = 0;
        double least = 0;
        double plain = 0;
        for (std::int64_t g = 0; g < kGroups; ++g) {
          const float* at = x.data() + g * group;
          const auto i = static_cast<std::size_t>(g);
          const double error = error_of(
              problem, at, nullptr, group, found.scale[i], found.zero[i]);
          EXPECT_NEAR(error, found.error[i], 1e-4 * error);
          float scale = 0;
          float zero = 0;
          start(problem, at, group, scale, zero);
          sum += error;
          plain += error_of(problem, at, nullptr, group, scale, zero);
          least += dense_minimum(problem, at, group);
        }
        EXPECT_LE(sum, 1.03 * least) << bits << (symmetric ? " sym" : " asym");
        EXPECT_LT(sum, plain) << bits;
      }
    }
  }
}

TEST(SearchAffineTest, WeightedColumnsComeOutCloser) {
  constexpr std::int64_t kGroup = 32;
  const std::vector<float> x = samples(kGroup, 6);
  std::vector<float> weights(kGroup, 1.0f);
  weights[3] = 1000.0f;
  const auto problem = problem_of(3, false, Element::F32);
  const auto& kernel = search_affine_kernels().back();
  const Found plain = run(kernel, problem, x.data(), 1, kGroup);
  const Found weighted =
      run(kernel, problem, x.data(), 1, kGroup, weights.data());
  EXPECT_LT(weighted.error[0],
            error_of(problem,
                     x.data(),
                     weights.data(),
                     kGroup,
                     plain.scale[0],
                     plain.zero[0]));
}

TEST(SearchAffineTest, ScalesAreThoseOfTheStoredDtype) {
  const std::vector<float> x = samples(64 * 8, 7);
  for (const Element stored : {Element::Bf16, Element::F16}) {
    for (const float size : {1.0f, 1e-4f, 1e-6f}) {
      std::vector<float> scaled = x;
      for (float& v : scaled) v *= size;
      const Found found = run(search_affine_kernels().back(),
                              problem_of(4, false, stored),
                              scaled.data(),
                              8,
                              64);
      for (const float s : found.scale) {
        EXPECT_EQ(s, round_to(to_dtype(stored), s)) << size;
      }
    }
  }
}

TEST(SearchAffineTest, SurvivesZerosAndTheLargestValues) {
  constexpr float kMost = std::numeric_limits<float>::max() / 4;
  const std::vector<std::vector<float>> groups = {
      std::vector<float>(32, 0.0f),
      std::vector<float>(32, kMost),
      std::vector<float>(32, std::numeric_limits<float>::denorm_min()),
      std::vector<float>(32, -1.0f)};
  for (const std::vector<float>& x : groups) {
    for (const bool symmetric : {true, false}) {
      const Found found = run(search_affine_kernels().back(),
                              problem_of(4, symmetric, Element::Bf16),
                              x.data(),
                              1,
                              32);
      EXPECT_TRUE(found.scale[0] > 0 && std::isfinite(found.scale[0])) << x[0];
      EXPECT_GE(found.zero[0], -8);
      EXPECT_LE(found.zero[0], 7);
    }
  }
}

}  // namespace
}  // namespace mantissa::kernels
