#pragma once

// Codes of 8 bits as bfloat16. Only C headers here: instruction-set files
// include this.
#include <stdint.h>

#include "kernels/linear_lowbit_args.h"

namespace mantissa::kernels {
namespace {

/// The bytes of bfloat16 for the 7 bits below the sign.
struct Bf16Table {
  alignas(64) uint8_t high[128];
  alignas(64) uint8_t low[128];
};

// mantissa * 2^exponent, mantissa below 256.
constexpr int bf16_of(int mantissa, int exponent) {
  if (mantissa == 0) return 0;
  int place = 7;
  while (mantissa >> place == 0) --place;
  return ((exponent + place + 127) << 7) | ((mantissa << (7 - place)) & 127);
}

constexpr int bf16_of_magnitude(LowbitCode code, int magnitude) {
  constexpr int kNaN = 0x7fc0;
  constexpr int kInfinity = 0x7f80;
  if (code == LowbitCode::Integer) return bf16_of(2 * magnitude + 1, -1);
  const bool e4m3 = code == LowbitCode::E4m3;
  const int bits = e4m3 ? 3 : 2;  // of the mantissa
  const int bias = e4m3 ? 7 : 15;
  const int exponent = magnitude >> bits;
  const int mantissa = magnitude & ((1 << bits) - 1);
  if (e4m3 && magnitude == 127) return kNaN;
  if (!e4m3 && exponent == 31) return mantissa == 0 ? kInfinity : kNaN;
  return exponent == 0
             ? bf16_of(mantissa, 1 - bias - bits)
             : bf16_of(mantissa + (1 << bits), exponent - bias - bits);
}

constexpr Bf16Table make_bf16_table(LowbitCode code) {
  Bf16Table out{};
  for (int i = 0; i < 128; ++i) {
    const int value = bf16_of_magnitude(code, i);
    out.high[i] = static_cast<uint8_t>(value >> 8);
    out.low[i] = static_cast<uint8_t>(value & 255);
  }
  return out;
}

constexpr Bf16Table kIntegerTable = make_bf16_table(LowbitCode::Integer);
constexpr Bf16Table kE4m3Table = make_bf16_table(LowbitCode::E4m3);
constexpr Bf16Table kE5m2Table = make_bf16_table(LowbitCode::E5m2);

inline const Bf16Table& bf16_table(LowbitCode code) {
  return code == LowbitCode::E4m3   ? kE4m3Table
         : code == LowbitCode::E5m2 ? kE5m2Table
                                    : kIntegerTable;
}

}  // namespace
}  // namespace mantissa::kernels
