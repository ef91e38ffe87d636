#pragma once

// Only C headers here: instruction-set files include this.
#include <stdint.h>

#include "kernels/error_sums_args.h"

namespace mantissa::kernels {
namespace {

/// The partial sums of one row of `error_sums`.
struct ErrorLanes {
  double signal[kErrorLanes] = {};
  double noise[kErrorLanes] = {};
  double max_error[kErrorLanes] = {};
  double max_x[kErrorLanes] = {};

  inline void add(int64_t index, double x, double y) {
    const int64_t lane = index % kErrorLanes;
    const double error = x > y ? x - y : y - x;
    const double size = x < 0 ? -x : x;
    signal[lane] = signal[lane] + x * x;
    noise[lane] = noise[lane] + error * error;
    if (error > max_error[lane]) max_error[lane] = error;
    if (size > max_x[lane]) max_x[lane] = size;
  }

  inline RowErrorSums finish() {
    for (int half = kErrorLanes / 2; half > 0; half /= 2) {
      for (int i = 0; i < half; ++i) {
        signal[i] = signal[i] + signal[i + half];
        noise[i] = noise[i] + noise[i + half];
        if (max_error[i + half] > max_error[i]) {
          max_error[i] = max_error[i + half];
        }
        if (max_x[i + half] > max_x[i]) max_x[i] = max_x[i + half];
      }
    }
    return {signal[0], noise[0], max_error[0], max_x[0]};
  }
};

}  // namespace
}  // namespace mantissa::kernels
