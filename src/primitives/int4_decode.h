#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

#include <mantissa/core/dtype.h>
#include <mantissa/primitives/float_casts.h>

namespace mantissa {

/// a * b + c rounded to float by round-to-odd, for |a| of at most 29 bits less
/// than b's: whatever narrower format it is rounded to next gets the correctly
/// rounded value of the exact sum, as from one fused multiply-add.
inline float multiply_add_to_odd(float a, float b, float c) {
  const double product = static_cast<double>(a) * b;  // exact
  const double sum = product + c;
  const double back = sum - product;
  const double lost = (product - (sum - back)) + (c - back);  // exact error
  const auto nearest = static_cast<float>(sum);
  if (!std::isfinite(sum)) return nearest;
  const double rest = sum - nearest;
  if (rest == 0 && lost == 0) return nearest;
  // The exact value lies beside `nearest`: take the neighbour towards zero
  // unless it already is, and set the last bit as the sticky one.
  const double beside = rest != 0 ? rest : lost;
  auto bits = std::bit_cast<std::uint32_t>(nearest);
  if ((bits & 0x7fffffffu) == 0) return std::bit_cast<float>(bits | 1u);
  if ((beside < 0) != std::signbit(nearest)) bits -= 1;
  return std::bit_cast<float>(bits | 1u);
}

/// (code - 8) * scale + zero for the codes 0..15, rounded once to `Element`'s
/// dtype: bfloat16 and float16 as bits, float32 as float.
template <class Element>
void int4_values(DType dtype, float scale, float zero, Element (&out)[16]) {
  for (int code = 0; code < 16; ++code) {
    const auto step = static_cast<float>(code - 8);
    if constexpr (sizeof(Element) == 4) {
      out[code] = std::fma(step, scale, zero);
    } else {
      const float odd = multiply_add_to_odd(step, scale, zero);
      out[code] = dtype == DType::BFloat16 ? float_to_bfloat16(odd)
                                           : float_to_float16(odd);
    }
  }
}

}  // namespace mantissa
