#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

#include "kernels/common/exp2_polynomial.h"

namespace mantissa::kernels {

/// 2^x for x <= 0 within kExp2Error of it, 0 below kExp2Least, NaN for NaN: the
/// steps that vector kernels take too.
inline float exp2_steps(float x) {
  if (std::isnan(x)) return x;
  if (x < kExp2Least) return 0;
  const float n = std::nearbyint(x);
  const float r = x - n;
  float p = kExp2Polynomial[4];
  for (int i = 3; i >= 0; --i) p = std::fma(p, r, kExp2Polynomial[i]);
  p = std::fma(p, r, 1.0f);
  const auto power = static_cast<std::uint32_t>(static_cast<int>(n) + 127);
  return p * std::bit_cast<float>(power << 23);
}

}  // namespace mantissa::kernels
