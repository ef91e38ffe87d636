#include "checkpoint/run_result.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "checkpoint/decibel.h"

#include <mantissa/primitives/convert.h>

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

// The exponent stands in the bits of normal numbers; the rest takes the long
// way.
void ExponentHistogram::add(ConstTensorView values) {
  const HostTensor wide = values.dtype == DType::Float32
                              ? HostTensor()
                              : converted(values, DType::Float32);
  const float* value =
      values.dtype == DType::Float32 ? values.as<float>() : wide.as<float>();
  const std::int64_t count = values.numel();
  for (std::int64_t i = 0; i < count; ++i) {
    const auto bits = std::bit_cast<std::uint32_t>(value[i]);
    const int exponent = static_cast<int>(bits >> 23 & 0xff);
    if (exponent == 0 || exponent == 0xff) {
      add(static_cast<double>(value[i]));
      continue;
    }
    const int bin = exponent - 127 - kLowest;
    ++bins[static_cast<std::size_t>(
        std::clamp(bin, 0, static_cast<int>(kBins) - 1))];
  }
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
