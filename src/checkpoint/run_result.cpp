#include "checkpoint/run_result.h"

#include <algorithm>
#include <cmath>

#include "checkpoint/decibel.h"

namespace mantissa {

void ErrorSums::add(const ErrorSums& other) {
  signal += other.signal;
  noise += other.noise;
  max_error = std::max(max_error, other.max_error);
  values += other.values;
}

double ErrorSums::sqnr() const { return decibel(signal, noise); }

void ExponentHistogram::add(double value) {
  if (value == 0 || !std::isfinite(value)) {
    ++zeros;
    return;
  }
  const int bin = std::ilogb(value) - kLowest;
  ++bins[static_cast<std::size_t>(
      std::clamp(bin, 0, static_cast<int>(kBins) - 1))];
}

void ExponentHistogram::add(const ExponentHistogram& other) {
  for (std::size_t i = 0; i < kBins; ++i) bins[i] += other.bins[i];
  zeros += other.zeros;
}

ErrorSums TensorResult::total() const {
  ErrorSums sums;
  for (const ErrorSums& matrix : errors) sums.add(matrix);
  return sums;
}

}  // namespace mantissa
