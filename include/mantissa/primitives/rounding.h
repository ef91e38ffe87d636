#pragma once

#include <cmath>

namespace mantissa {

/// The nearest integer, ties to even, as torch.round; infinities, NaN and the
/// sign of zero are kept.
inline float round_half_even(float value) {
  constexpr float kTwo23 = 8388608.0f;  // 2^23: from here floats are integers
  const float magnitude = std::fabs(value);
  if (!(magnitude < kTwo23)) return value;
  return std::copysign((magnitude + kTwo23) - kTwo23, value);
}

}  // namespace mantissa
