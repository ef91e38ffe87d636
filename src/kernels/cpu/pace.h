#pragma once

// Only C headers here: instruction-set files include this.
#include <stdint.h>

namespace mantissa::kernels {
namespace {

/// Which of kWays ways to do the same work is the fastest one here and now: a
/// running mean of the cycles that a byte takes for each, of which the others
/// are tried again now and then. The first is taken unless another is faster by
/// a tenth, more than chance makes of it. What threads write at once may be
/// lost; that costs a measurement.
class Pace {
 public:
  static constexpr int kWays = 3;

  /// The way, below kWays, that the next work takes.
  int choose() {
    int fastest = 0;
    float least = 0.9f * read(0);
    for (int way = 0; way < kWays; ++way) {
      const float cost = read(way);
      if (cost == 0.0f) return way;
      if (cost < least) {
        least = cost;
        fastest = way;
      }
    }
    const uint32_t call = __atomic_fetch_add(&calls_, 1, __ATOMIC_RELAXED);
    if (call % kTrial != 0) return fastest;
    return static_cast<int>(call / kTrial % kWays);
  }

  /// `bytes` of work took `cycles` in this way.
  void took(int way, int64_t bytes, uint64_t cycles) {
    const float old = read(way);
    float cost = static_cast<float>(cycles) / static_cast<float>(bytes);
    if (old != 0.0f && cost > old / 2) {   // else the old one was interrupted
      if (cost > 2 * old) cost = 2 * old;  // this one was
      cost = old + (cost - old) / 4;
    }
    __atomic_store(&costs_[way], &cost, __ATOMIC_RELAXED);
  }

 private:
  static constexpr uint32_t kTrial = 40;

  float read(int way) const {
    float out;
    __atomic_load(&costs_[way], &out, __ATOMIC_RELAXED);
    return out;
  }

  float costs_[kWays] = {};  // 0: not measured
  uint32_t calls_ = 0;
};

}  // namespace
}  // namespace mantissa::kernels
