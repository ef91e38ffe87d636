#pragma once

#include <cmath>
#include <limits>

namespace mantissa {

/// 10 log10(signal / noise) in dB; infinite when there is no noise, and
/// negative infinite when there is noise alone.
inline double decibel(double signal, double noise) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  if (noise == 0) return kInfinity;
  if (signal == 0) return -kInfinity;
  return 10 * std::log10(signal / noise);
}

}  // namespace mantissa
