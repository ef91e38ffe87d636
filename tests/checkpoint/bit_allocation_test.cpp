#include "checkpoint/bit_allocation.h"

#include <algorithm>
#include <limits>
#include <random>

#include <gtest/gtest.h>

namespace mantissa {
namespace {

using Options = std::vector<BitOption>;

// Sizes rise and costs fall, as with bits; some options are no good.
std::vector<Options> random_tensors(unsigned seed, std::size_t count) {
  std::mt19937 random(seed);
  std::vector<Options> out;
  for (std::size_t t = 0; t < count; ++t) {
    Options options;
    const auto weights = static_cast<std::int64_t>(50 + random() % 200);
    double error = 1.0 + static_cast<double>(random() % 100);
    for (int bits = 2; bits <= 6; ++bits) {
      options.push_back({weights * bits, error});
      options.push_back({weights * bits + weights / 4, error * 0.95});
      error *= 0.25;
    }
    std::ranges::shuffle(options, random);
    out.push_back(std::move(options));
  }
  return out;
}

std::int64_t bytes_of(const std::vector<Options>& tensors,
                      const std::vector<std::size_t>& picks) {
  std::int64_t bytes = 0;
  for (std::size_t t = 0; t < picks.size(); ++t) {
    bytes += tensors[t][picks[t]].bytes;
  }
  return bytes;
}

double cost_of(const std::vector<Options>& tensors,
               const std::vector<std::size_t>& picks) {
  double cost = 0;
  for (std::size_t t = 0; t < picks.size(); ++t) {
    cost += tensors[t][picks[t]].cost;
  }
  return cost;
}

// The least cost within the budget, by dynamic programming over bytes.
double best_cost(const std::vector<Options>& tensors, std::int64_t budget) {
  constexpr double kNever = std::numeric_limits<double>::infinity();
  std::vector<double> best(static_cast<std::size_t>(budget) + 1, kNever);
  best[0] = 0;
  for (const Options& options : tensors) {
    std::vector<double> next(best.size(), kNever);
    for (std::size_t used = 0; used < best.size(); ++used) {
      for (const BitOption& option : options) {
        const std::size_t sum = used + static_cast<std::size_t>(option.bytes);
        if (sum < next.size()) {
          next[sum] = std::min(next[sum], best[used] + option.cost);
        }
      }
    }
    best = std::move(next);
  }
  return *std::ranges::min_element(best);
}

TEST(BitAllocation, StaysWithinTheBudgetAndNearTheOptimum) {
  for (unsigned seed = 0; seed < 20; ++seed) {
    const auto tensors = random_tensors(seed, 12);
    const std::int64_t least = least_bytes(tensors);
    for (const std::int64_t extra : {0, 100, 700, 2000, 4000}) {
      const auto picks = allocate_bits(tensors, least + extra);
      EXPECT_LE(bytes_of(tensors, picks), least + extra);
      const double best = best_cost(tensors, least + extra);
      // One step may not fit: the largest that a tensor can save.
      double step = 0;
      for (std::size_t t = 0; t < tensors.size(); ++t) {
        step = std::max(step, tensors[t][picks[t]].cost);
      }
      EXPECT_LE(cost_of(tensors, picks), best + step) << seed << " " << extra;
      EXPECT_GE(cost_of(tensors, picks), best * (1 - 1e-9));
    }
  }
}

TEST(BitAllocation, TakesTheBestOfAllWithoutABound) {
  const auto tensors = random_tensors(3, 5);
  const auto picks = allocate_bits(tensors, std::int64_t{1} << 40);
  for (std::size_t t = 0; t < tensors.size(); ++t) {
    EXPECT_EQ(tensors[t][picks[t]].cost,
              std::ranges::min(tensors[t], {}, &BitOption::cost).cost);
  }
}

TEST(BitAllocation, TheLeastBudgetTakesTheSmallestOptions) {
  const auto tensors = random_tensors(4, 5);
  const std::int64_t least = least_bytes(tensors);
  EXPECT_EQ(bytes_of(tensors, allocate_bits(tensors, least)), least);
}

TEST(BitAllocation, NoTensorsNeedNoBytes) {
  EXPECT_EQ(least_bytes({}), 0);
  EXPECT_TRUE(allocate_bits({}, 0).empty());
}

}  // namespace
}  // namespace mantissa
