#include "kernels/cpu/pace.h"

#include <cstdint>

#include <gtest/gtest.h>

namespace mantissa::kernels {
namespace {

// Work of cost[way] cycles a byte; how often each way was taken.
struct Taken {
  int count[Pace::kWays] = {};
};

Taken work(Pace& pace, int calls, const double (&cost)[Pace::kWays]) {
  Taken out;
  for (int i = 0; i < calls; ++i) {
    const int way = pace.choose();
    ++out.count[way];
    pace.took(way, 1000, static_cast<std::uint64_t>(cost[way] * 1000));
  }
  return out;
}

TEST(PaceTest, EveryWayIsMeasuredFirst) {
  Pace pace;
  EXPECT_EQ(pace.choose(), 0);
  pace.took(0, 100, 100);
  EXPECT_EQ(pace.choose(), 1);
  EXPECT_EQ(pace.choose(), 1) << "not measured yet";
  pace.took(1, 100, 300);
  EXPECT_EQ(pace.choose(), 2);
}

TEST(PaceTest, TheFastestWayIsTakenAndTheOthersTriedNowAndThen) {
  for (int fastest = 0; fastest < Pace::kWays; ++fastest) {
    Pace pace;
    double cost[Pace::kWays] = {1.3, 1.3, 1.3};
    cost[fastest] = 1.0;
    const Taken taken = work(pace, 3000, cost);
    EXPECT_GT(taken.count[fastest], 2900);
    for (const int count : taken.count) EXPECT_GT(count, 20);
  }
}

TEST(PaceTest, AChangeIsNoticed) {
  Pace pace;
  work(pace, 1000, {1.0, 1.3, 1.2});
  work(pace, 500, {1.5, 1.3, 1.2});
  EXPECT_GT(work(pace, 100, {1.5, 1.3, 1.2}).count[2], 90);
  work(pace, 500, {1.0, 1.3, 1.2});
  EXPECT_GT(work(pace, 100, {1.0, 1.3, 1.2}).count[0], 90);
}

TEST(PaceTest, AnInterruptionChangesNothing) {
  Pace pace;
  work(pace, 1000, {1.0, 1.3, 1.4});
  pace.took(0, 1000, 1'000'000'000);
  EXPECT_GT(work(pace, 100, {1.0, 1.3, 1.4}).count[0], 90);
}

TEST(PaceTest, AnInterruptedFirstMeasurementIsForgotten) {
  Pace pace;
  pace.took(0, 1000, 1'000'000);
  pace.took(1, 1000, 1300);
  pace.took(2, 1000, 1400);
  work(pace, 300, {1.0, 1.3, 1.4});
  EXPECT_GT(work(pace, 100, {1.0, 1.3, 1.4}).count[0], 90);
}

}  // namespace
}  // namespace mantissa::kernels
