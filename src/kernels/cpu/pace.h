#pragma once

// Only C headers here: instruction-set files include this.
#include <stdint.h>

namespace mantissa::kernels {
namespace {

/// Which of two ways to do the same work is the faster one here and now: a
/// running mean of the cycles that a byte takes for each, of which the slower
/// is tried again now and then. What threads write at once may be lost; that
/// costs a measurement.
class Pace {
 public:
  /// 0 or 1: the way that the next work takes.
  int choose() {
    const float first = read(0);
    const float second = read(1);
    if (first == 0.0f) return 0;
    if (second == 0.0f) return 1;
    const uint32_t call = __atomic_fetch_add(&calls_, 1, __ATOMIC_RELAXED);
    const int faster = second < first ? 1 : 0;
    return call % kTrial == 0 ? 1 - faster : faster;
  }

  /// `bytes` of work took `cycles` on way 0 or 1.
  void took(int way, int64_t bytes, uint64_t cycles) {
    const float old = read(way);
    float cost = static_cast<float>(cycles) / static_cast<float>(bytes);
    if (old != 0.0f) {
      if (cost > 2 * old) cost = 2 * old;  // interrupted
      cost = old + (cost - old) / 4;
    }
    __atomic_store(&costs_[way], &cost, __ATOMIC_RELAXED);
  }

 private:
  static constexpr uint32_t kTrial = 32;

  float read(int way) const {
    float out;
    __atomic_load(&costs_[way], &out, __ATOMIC_RELAXED);
    return out;
  }

  float costs_[2] = {};  // 0: not measured
  uint32_t calls_ = 0;
};

}  // namespace
}  // namespace mantissa::kernels
