#include "kernels/cpu/pace.h"

#include <cstdint>

#include <gtest/gtest.h>

namespace mantissa::kernels {
namespace {

// Work of cost[way] cycles a byte; how often each way was taken.
struct Taken {
  int count[2] = {0, 0};
};

Taken work(Pace& pace, int calls, const double (&cost)[2]) {
  Taken out;
  for (int i = 0; i < calls; ++i) {
    const int way = pace.choose();
    ++out.count[way];
    pace.took(way, 1000, static_cast<std::uint64_t>(cost[way] * 1000));
  }
  return out;
}

TEST(PaceTest, BothWaysAreMeasuredFirst) {
  Pace pace;
  EXPECT_EQ(pace.choose(), 0);
  pace.took(0, 100, 100);
  EXPECT_EQ(pace.choose(), 1);
  EXPECT_EQ(pace.choose(), 1) << "not measured yet";
}

TEST(PaceTest, TheFasterWayIsTakenAndTheOtherTriedNowAndThen) {
  for (const int faster : {0, 1}) {
    Pace pace;
    const double cost[2] = {faster == 0 ? 1.0 : 1.3, faster == 1 ? 1.0 : 1.3};
    const Taken taken = work(pace, 3200, cost);
    EXPECT_GT(taken.count[1 - faster], 50);
    EXPECT_LT(taken.count[1 - faster], 130);
  }
}

TEST(PaceTest, AChangeIsNoticed) {
  Pace pace;
  work(pace, 1000, {1.0, 1.2});
  work(pace, 300, {1.5, 1.2});
  EXPECT_GT(work(pace, 100, {1.5, 1.2}).count[1], 90);
  work(pace, 300, {1.0, 1.2});
  EXPECT_GT(work(pace, 100, {1.0, 1.2}).count[0], 90);
}

TEST(PaceTest, AnInterruptionChangesNothing) {
  Pace pace;
  work(pace, 1000, {1.0, 1.3});
  pace.took(0, 1000, 1'000'000'000);
  EXPECT_GT(work(pace, 100, {1.0, 1.3}).count[0], 90);
}

}  // namespace
}  // namespace mantissa::kernels
