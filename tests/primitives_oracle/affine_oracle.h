#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

// The affine formulas in double, from their definition; nothing of src/ here.

namespace mantissa::oracle {

enum class Mapping { Symmetric, SymmetricNoClippingErr, Asymmetric };

struct QParams {
  double scale;
  double zero_point;
};

/// Scale and zero point of one block of values.
inline QParams choose_qparams(const std::vector<double>& block,
                              Mapping mapping,
                              int qmin,
                              int qmax,
                              double eps) {
  double min = 0.0;
  double max = 0.0;
  for (const double x : block) {
    min = std::min(min, x);
    max = std::max(max, x);
  }
  if (mapping == Mapping::Asymmetric) {
    const double scale = std::max((max - min) / (qmax - qmin), eps);
    const double zero = qmin - std::nearbyint(min / scale);
    return {scale, std::clamp<double>(zero, qmin, qmax)};
  }
  const double zero = std::trunc((qmax + qmin + 1) / 2.0);
  const double scale = mapping == Mapping::Symmetric
                           ? std::max(-min, max) / ((qmax - qmin) / 2.0)
                           : std::max(min / qmin, max / qmax);
  return {std::max(scale, eps), zero};
}

/// clamp(round(x / scale) + zero_point).
inline double quantize(double x, const QParams& q, int qmin, int qmax) {
  return std::clamp<double>(
      std::nearbyint(x / q.scale) + q.zero_point, qmin, qmax);
}

/// (code - zero_point) * scale.
inline double dequantize(double code, const QParams& q) {
  return (code - q.zero_point) * q.scale;
}

}  // namespace mantissa::oracle
