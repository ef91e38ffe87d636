#pragma once

#include <array>
#include <cmath>
#include <cstdint>

#include <mantissa/core/dtype.h>
#include <mantissa/primitives/affine.h>

// The formulas of NF4, one scalar function each. Values travel as float and are
// rounded to the weight's dtype after every operation, as torchao does it.

namespace mantissa {

/// The 16 quantiles of NF4, rising; the code is the index.
inline constexpr std::array<float, 16> kNF4Table = {-1.0f,
                                                    -0.6962f,
                                                    -0.5251f,
                                                    -0.3949f,
                                                    -0.2844f,
                                                    -0.1848f,
                                                    -0.0911f,
                                                    0.0f,
                                                    0.0796f,
                                                    0.1609f,
                                                    0.2461f,
                                                    0.3379f,
                                                    0.4407f,
                                                    0.5626f,
                                                    0.7230f,
                                                    1.0f};

/// The code of the value 0.
inline constexpr std::uint8_t kNF4Zero = 7;

/// kNF4Table in float32, bfloat16 or float16.
inline std::array<float, 16> nf4_table(DType dtype) {
  std::array<float, 16> table = kNF4Table;
  for (float& entry : table) entry = round_to(dtype, entry);
  return table;
}

/// The code whose entry of `table` (of `dtype`) is nearest to `scaled`, a value
/// of `dtype`; distances are rounded to `dtype`, of equal ones the first wins.
inline std::uint8_t nf4_code(float scaled,
                             const std::array<float, 16>& table,
                             DType dtype) {
  std::uint8_t best = 0;
  float least = round_to(dtype, std::fabs(scaled - table[0]));
  for (std::uint8_t code = 1; code < 16; ++code) {
    const float distance = round_to(dtype, std::fabs(scaled - table[code]));
    if (distance < least) {
      least = distance;
      best = code;
    }
  }
  return best;
}

/// 256 / (2 * absmax), what the scalers of one scaler block are multiplied by;
/// infinite when they are all equal.
inline float nf4_scaler_factor(float absmax, DType dtype) {
  const float reciprocal =
      round_to(dtype, 1.0f / round_to(dtype, 2.0f * absmax));
  return round_to(dtype, reciprocal * 256.0f);
}

/// The int8 code of a scaler minus the mean; 0 where factor is infinite and the
/// difference 0.
inline std::int8_t nf4_scaler_code(float centered, float factor, DType dtype) {
  const float steps = round_half_even(round_to(dtype, centered * factor));
  if (std::isnan(steps)) return 0;
  return static_cast<std::int8_t>(steps < -128.0f  ? -128.0f
                                  : steps > 127.0f ? 127.0f
                                                   : steps);
}

/// The scaler of a code: code / factor + mean.
inline float nf4_scaler(std::int8_t code,
                        float factor,
                        float mean,
                        DType dtype) {
  const auto steps = static_cast<float>(code);
  return round_to(dtype, round_to(dtype, steps / factor) + mean);
}

}  // namespace mantissa
