#include <mantissa/torch/sampling.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "torch/models/philox.h"
#include "torch/refusal.h"

namespace mantissa {
namespace {

using ::testing::DoubleNear;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pointwise;
using tests::refusal;

std::vector<double> chances(const SamplingOptions& options,
                            const std::vector<float>& logits,
                            const std::vector<std::int64_t>& seen = {}) {
  return Sampler(options).probabilities(logits, seen);
}

// The known answers of the authors' Random123 (kat_vectors).
TEST(PhiloxTest, GivesTheKnownAnswers) {
  EXPECT_THAT(philox({0, 0, 0, 0}, {0, 0}),
              ElementsAre(0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u));
  constexpr std::uint32_t kOnes = 0xffffffffu;
  EXPECT_THAT(philox({kOnes, kOnes, kOnes, kOnes}, {kOnes, kOnes}),
              ElementsAre(0x408f276du, 0x41c83b0eu, 0xa20bc7c6u, 0x6d5451fdu));
  EXPECT_THAT(philox({0x243f6a88u, 0x85a308d3u, 0x13198a2eu, 0x03707344u},
                     {0xa4093822u, 0x299f31d0u}),
              ElementsAre(0xd16cfe09u, 0x94fdccebu, 0x5001e420u, 0x24126ea1u));
}

TEST(PhiloxTest, IsUniform) {
  double sum = 0;
  constexpr int kDraws = 10000;
  for (int i = 0; i < kDraws; ++i) {
    const double u = philox_uniform(7, static_cast<std::uint64_t>(i));
    ASSERT_GE(u, 0);
    ASSERT_LT(u, 1);
    sum += u;
  }
  // Six standard deviations of the mean.
  EXPECT_NEAR(sum / kDraws, 0.5, 6 / std::sqrt(12.0 * kDraws));
}

TEST(SamplerTest, TemperatureZeroTakesTheFirstBest) {
  Sampler greedy({.temperature = 0});
  const std::vector<float> logits = {1, 4, 4, 2};
  EXPECT_EQ(greedy.next(logits, {}), 1);
  EXPECT_THAT(chances({.temperature = 0}, logits), ElementsAre(0, 1, 0, 0));
}

TEST(SamplerTest, PenaltyDividesPositiveAndMultipliesNegativeOnce) {
  const std::vector<float> logits = {2, -1, 1, 0};
  const std::vector<double> penalized = {1, -2, 1, 0};
  std::vector<double> expected;
  for (const double l : penalized) expected.push_back(std::exp(l));
  const double sum = std::accumulate(expected.begin(), expected.end(), 0.0);
  for (double& e : expected) e /= sum;
  EXPECT_THAT(chances({.repetition_penalty = 2}, logits, {0, 1, 0, 1, 0}),
              Pointwise(DoubleNear(1e-15), expected));
}

// Chances 1/2, 1/4, 1/8, 1/8 at temperature 1.
const std::vector<float> kHalves = {std::log(4.0f), std::log(2.0f), 0, 0};

TEST(SamplerTest, TopKKeepsEqualsOfTheLast) {
  EXPECT_THAT(
      chances({.top_k = 2}, kHalves),
      Pointwise(DoubleNear(1e-7), std::vector<double>{2.0 / 3, 1.0 / 3, 0, 0}));
  EXPECT_THAT(chances({.top_k = 3}, kHalves),
              Pointwise(DoubleNear(1e-7),
                        std::vector<double>{0.5, 0.25, 0.125, 0.125}));
}

TEST(SamplerTest, TopPKeepsTheFewestThatReachIt) {
  EXPECT_THAT(chances({.top_p = 0.4}, kHalves), ElementsAre(1, 0, 0, 0));
  EXPECT_THAT(
      chances({.top_p = 0.6}, kHalves),
      Pointwise(DoubleNear(1e-7), std::vector<double>{2.0 / 3, 1.0 / 3, 0, 0}));
  EXPECT_THAT(chances({.top_p = 1}, kHalves),
              Pointwise(DoubleNear(1e-7),
                        std::vector<double>{0.5, 0.25, 0.125, 0.125}));
}

TEST(SamplerTest, MinPIsAShareOfTheBest) {
  EXPECT_THAT(
      chances({.min_p = 0.4}, kHalves),
      Pointwise(DoubleNear(1e-7), std::vector<double>{2.0 / 3, 1.0 / 3, 0, 0}));
  EXPECT_THAT(chances({.min_p = 0.6}, kHalves), ElementsAre(1, 0, 0, 0));
}

// Temperature comes before top-p: at temperature 1/2 the best has 16/22.
TEST(SamplerTest, TemperatureComesFirst) {
  EXPECT_THAT(chances({.temperature = 0.5, .top_p = 0.7}, kHalves),
              ElementsAre(1, 0, 0, 0));
  EXPECT_THAT(
      chances({.temperature = 1, .top_p = 0.7}, kHalves),
      Pointwise(DoubleNear(1e-7), std::vector<double>{2.0 / 3, 1.0 / 3, 0, 0}));
}

TEST(SamplerTest, DrawsByTheChancesAndRepeats) {
  constexpr int kDraws = 20000;
  std::vector<int> counts(4);
  Sampler sampler({.seed = 5});
  std::vector<std::int64_t> first;
  for (int i = 0; i < kDraws; ++i) {
    const std::int64_t id = sampler.next(kHalves, {});
    ++counts[static_cast<std::size_t>(id)];
    if (i < 50) first.push_back(id);
  }
  const std::vector<double> expected = {0.5, 0.25, 0.125, 0.125};
  for (std::size_t i = 0; i < 4; ++i) {
    // Six standard deviations.
    const double deviation =
        std::sqrt(kDraws * expected[i] * (1 - expected[i]));
    EXPECT_NEAR(counts[i], kDraws * expected[i], 6 * deviation) << i;
  }
  Sampler again({.seed = 5});
  Sampler other({.seed = 6});
  std::vector<std::int64_t> second;
  std::vector<std::int64_t> third;
  for (int i = 0; i < 50; ++i) {
    second.push_back(again.next(kHalves, {}));
    third.push_back(other.next(kHalves, {}));
  }
  EXPECT_EQ(first, second);
  EXPECT_NE(first, third);
}

TEST(SamplerTest, NamesTheOptionOutsideItsRange) {
  const auto message = [](const SamplingOptions& options) {
    return refusal([&] { Sampler sampler(options); });
  };
  EXPECT_THAT(message({.temperature = -1}),
              HasSubstr("temperature: expected 0 or more, got -1"));
  EXPECT_THAT(message({.top_k = -1}), HasSubstr("top_k: expected 0 or more"));
  EXPECT_THAT(message({.top_p = 0}), HasSubstr("top_p: expected more than 0"));
  EXPECT_THAT(message({.min_p = 2}), HasSubstr("min_p: expected 0 to 1"));
  EXPECT_THAT(message({.repetition_penalty = 0}),
              HasSubstr("repetition_penalty: expected more than 0"));
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THAT(refusal([&] { chances({}, {nan, nan}); }),
              HasSubstr("no logit is finite"));
  // One that is not a number is never drawn.
  EXPECT_EQ(chances({}, {nan, 1})[1], 1);
}

}  // namespace
}  // namespace mantissa
