#pragma once

#include <bit>
#include <cstdint>

namespace mantissa {

/// bfloat16 bits to float: exact.
inline float bfloat16_to_float(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

/// float to bfloat16 bits, round half to even; NaN becomes 0x7fc0 as in
/// c10::BFloat16.
inline std::uint16_t float_to_bfloat16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return 0x7fc0;
  return static_cast<std::uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >>
                                    16);
}

/// IEEE half bits to float: exact; a signalling NaN becomes quiet, as the
/// conversion instructions of the processors do it.
inline float float16_to_float(std::uint16_t bits) {
  const std::uint32_t sign = static_cast<std::uint32_t>(bits & 0x8000u) << 16;
  const std::uint32_t magnitude = bits & 0x7fffu;
  if (magnitude >= 0x7c00u) {
    const std::uint32_t quiet = magnitude > 0x7c00u ? 0x00400000u : 0u;
    return std::bit_cast<float>(sign | 0x7f800000u | quiet |
                                ((magnitude & 0x3ffu) << 13));
  }
  // 2^112 moves the exponent bias from 15 to 127; subnormals become exact too.
  const float scaled =
      std::bit_cast<float>(magnitude << 13) * std::bit_cast<float>(0x77800000u);
  return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(scaled));
}

/// float to IEEE half bits, round half to even; overflow gives infinity, NaN
/// becomes the quiet NaN 0x7e00 with the sign kept.
inline std::uint16_t float_to_float16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const auto sign = static_cast<std::uint16_t>((bits >> 16) & 0x8000u);
  const std::uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return static_cast<std::uint16_t>(sign | 0x7e00);
  if (magnitude >= 0x47800000u)
    return static_cast<std::uint16_t>(sign | 0x7c00);
  if (magnitude < 0x38800000u) {
    // Adding 0.5 leaves a half subnormal in the low bits, rounded to even.
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    return static_cast<std::uint16_t>(
        sign | (std::bit_cast<std::uint32_t>(shifted) - 0x3f000000u));
  }
  const std::uint32_t rounded =
      magnitude - 0x38000000u + 0xfffu + ((magnitude >> 13) & 1u);
  return static_cast<std::uint16_t>(sign | (rounded >> 13));
}

/// What the largest codes of a small float format mean.
enum class MiniFloatSpecials {
  Ieee,     ///< the top exponent holds infinity and NaN
  NanOnly,  ///< all ones are NaN, there is no infinity ("fn")
  Fnuz,     ///< 0x80 is NaN; no infinity, no negative zero
  None,     ///< every code is finite
};

/// A float format of at most 8 bits: sign, exponent, mantissa in the low bits
/// of a byte. Encoding rounds half to even.
template <int kExponentBits,
          int kMantissaBits,
          int kBias,
          MiniFloatSpecials kSpecials>
struct MiniFloat {
  static constexpr int kBits = 1 + kExponentBits + kMantissaBits;
  static constexpr int kMantissaWidth = kMantissaBits;
  static constexpr int kExponentBias = kBias;
  static constexpr MiniFloatSpecials kSpecialCodes = kSpecials;
  static constexpr std::uint8_t kSignBit = 1u << (kBits - 1);
  static constexpr std::uint8_t kMagnitudeMask = kSignBit - 1;
  /// The code of the largest finite value.
  static constexpr std::uint8_t kMaxCode =
      kSpecials == MiniFloatSpecials::Ieee
          ? ((1u << kExponentBits) - 1u) * (1u << kMantissaBits) - 1u
      : kSpecials == MiniFloatSpecials::NanOnly ? kMagnitudeMask - 1u
                                                : kMagnitudeMask;

  /// The value of a code: exact. NaN comes out quiet, with the code's sign
  /// where the format has signed NaNs.
  static float decode(std::uint8_t code) {
    const std::uint32_t sign = (code & kSignBit) != 0 ? 0x80000000u : 0u;
    const std::uint32_t magnitude = code & kMagnitudeMask;
    if (kSpecials == MiniFloatSpecials::Fnuz && code == kSignBit) {
      return std::bit_cast<float>(0x7fc00000u);
    }
    if (magnitude > kMaxCode) {
      const bool infinite =
          kSpecials == MiniFloatSpecials::Ieee && magnitude == kMaxCode + 1u;
      return std::bit_cast<float>(sign |
                                  (infinite ? 0x7f800000u : 0x7fc00000u));
    }
    // 2^(127 - bias) moves the exponent bias; subnormals become exact too.
    const float scaled =
        std::bit_cast<float>(magnitude << (23 - kMantissaBits)) *
        std::bit_cast<float>(static_cast<std::uint32_t>(254 - kBias) << 23);
    return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(scaled));
  }

  /// round_half_even as torch casts: what rounds past the largest finite value
  /// becomes infinity (Ieee), NaN (NanOnly, Fnuz) or the largest value (None).
  /// NaN stays NaN; formats without one give the largest positive value.
  static std::uint8_t encode(float value) {
    const std::uint32_t code = rounded_magnitude(value);
    return finish(value, code, code > kMaxCode ? overflow_code() : code);
  }

  /// round_half_even; everything beyond the largest finite value, infinities
  /// too, becomes that value. NaN as in encode().
  static std::uint8_t encode_saturating(float value) {
    const std::uint32_t code = rounded_magnitude(value);
    return finish(value, code, code > kMaxCode ? kMaxCode : code);
  }

 private:
  static constexpr std::uint32_t kNanCode =
      kSpecials == MiniFloatSpecials::Fnuz   ? kSignBit
      : kSpecials == MiniFloatSpecials::None ? kMaxCode
                                             : kMagnitudeMask;

  static constexpr std::uint32_t overflow_code() {
    if (kSpecials == MiniFloatSpecials::Ieee) return kMaxCode + 1u;
    return kSpecials == MiniFloatSpecials::None ? kMaxCode : kNanCode;
  }

  static std::uint32_t rounded_magnitude(float value) {
    const std::uint32_t bits =
        std::bit_cast<std::uint32_t>(value) & 0x7fffffffu;
    constexpr std::uint32_t kSmallestNormal =
        static_cast<std::uint32_t>(128 - kBias) << 23;
    if (bits < kSmallestNormal) {
      // The sum's last place is the subnormal step: the adder rounds to even.
      constexpr std::uint32_t kShifter =
          static_cast<std::uint32_t>(128 - kBias - kMantissaBits + 23) << 23;
      const float sum =
          std::bit_cast<float>(bits) + std::bit_cast<float>(kShifter);
      return std::bit_cast<std::uint32_t>(sum) - kShifter;
    }
    constexpr int kShift = 23 - kMantissaBits;
    return (bits - (static_cast<std::uint32_t>(127 - kBias) << 23) +
            ((1u << (kShift - 1)) - 1u) + ((bits >> kShift) & 1u)) >>
           kShift;
  }

  static std::uint8_t finish(float value,
                             std::uint32_t rounded,
                             std::uint32_t code) {
    const auto bits = std::bit_cast<std::uint32_t>(value);
    const bool nan = (bits & 0x7fffffffu) > 0x7f800000u;
    if (nan) code = kNanCode;
    if (kSpecials == MiniFloatSpecials::None && nan) return kMaxCode;
    if (kSpecials == MiniFloatSpecials::Fnuz &&
        (rounded == 0 || code == kNanCode)) {
      return static_cast<std::uint8_t>(code);
    }
    const std::uint32_t sign = (bits >> 31) != 0 ? kSignBit : 0u;
    return static_cast<std::uint8_t>(code | sign);
  }
};

/// The small formats of a safetensors file; names are torch's.
using Float8E4M3FN = MiniFloat<4, 3, 7, MiniFloatSpecials::NanOnly>;
using Float8E5M2 = MiniFloat<5, 2, 15, MiniFloatSpecials::Ieee>;
using Float8E4M3FNUZ = MiniFloat<4, 3, 8, MiniFloatSpecials::Fnuz>;
using Float8E5M2FNUZ = MiniFloat<5, 2, 16, MiniFloatSpecials::Fnuz>;
using Float6E3M2 = MiniFloat<3, 2, 3, MiniFloatSpecials::None>;
using Float6E2M3 = MiniFloat<2, 3, 1, MiniFloatSpecials::None>;
using Float4E2M1 = MiniFloat<2, 1, 1, MiniFloatSpecials::None>;

/// e8m0 code to float: 2^(code - 127), exact; 255 is NaN.
inline float float8_e8m0_to_float(std::uint8_t code) {
  if (code == 0xff) return std::bit_cast<float>(0x7fc00000u);
  if (code == 0) return std::bit_cast<float>(0x00400000u);
  return std::bit_cast<float>(static_cast<std::uint32_t>(code) << 23);
}

/// float to e8m0 as torch casts: the sign is dropped, the value goes to the
/// nearer power of two, the middle (1.5 * 2^n) upwards; zero and everything up
/// to 2^-127 give code 0; infinity, NaN and 1.5 * 2^127 give NaN.
inline std::uint8_t float_to_float8_e8m0(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value) & 0x7fffffffu;
  const std::uint32_t exponent = bits >> 23;
  if (exponent == 0xff) return 0xff;
  // 2^-127 is a float subnormal: only what lies above it can round up.
  const std::uint32_t half = exponent == 0 ? 0x3fffffu : 0x400000u;
  return static_cast<std::uint8_t>((bits + half) >> 23);
}

/// float to e8m0, the largest power of two not above |value|, at least 2^-127;
/// infinity and NaN give NaN.
inline std::uint8_t float_to_float8_e8m0_floor(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value) & 0x7fffffffu;
  return static_cast<std::uint8_t>(bits >> 23);
}

/// float to e8m0, the smallest power of two not below |value|, at least 2^-127;
/// NaN above 2^127.
inline std::uint8_t float_to_float8_e8m0_ceil(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value) & 0x7fffffffu;
  if (bits >= 0x7f800000u) return 0xff;
  if (bits <= 0x00400000u) return 0;
  return static_cast<std::uint8_t>((bits + 0x7fffffu) >> 23);
}

}  // namespace mantissa
