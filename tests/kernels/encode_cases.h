#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <vector>

#include <mantissa/primitives/float_casts.h>

#include "kernels/common/element_dtype.h"

namespace mantissa::kernels {

/// Sizes around every vector width in use (8, 16, 32 lanes).
inline std::vector<std::int64_t> awkward_sizes() {
  return {0,  1,  3,  7,  8,  9,  15, 16,  17,  24,  31,
          32, 33, 48, 63, 64, 65, 96, 127, 128, 130, 258};
}

/// Values of `type` at a misaligned address: random bits of every exponent,
/// zeros of both signs, subnormals, ties, and NaN and infinity when asked for.
class EncodeInput {
 public:
  enum class Special { FiniteOnly, Any };

  EncodeInput(Element type, std::int64_t count, Special special, unsigned seed)
      : bytes_(static_cast<std::size_t>(count) * kWidest + 1) {
    std::mt19937 random(seed);
    for (std::int64_t i = 0; i < count; ++i)
      put(type, i, pick(random, special));
  }

  const void* data() const { return bytes_.data() + 1; }

 private:
  static constexpr std::size_t kWidest = 4;

  static float pick(std::mt19937& random, Special special) {
    const std::uint32_t bits = random();
    switch (random() % 16) {
      case 0:
        return 0.0f;
      case 1:
        return -0.0f;
      case 2:
        return std::bit_cast<float>(bits & 0x807fffffu);  // subnormal
      case 3:
        return static_cast<float>(static_cast<int>(bits % 512) - 256) + 0.5f;
      case 4:
        return special == Special::Any && bits % 4 == 0
                   ? std::bit_cast<float>(0x7f800000u | (bits & 0x80400000u))
                   : 1.0f;
      case 5:  // any exponent of half precision
        return std::ldexp(static_cast<float>(bits % 2048) - 1024.0f,
                          static_cast<int>(bits >> 27) - 24);
      default:
        return (static_cast<float>(bits) * 0x1p-32f - 0.5f) * 4.0f;
    }
  }

  void put(Element type, std::int64_t i, float value) {
    std::byte* at = bytes_.data() + 1 + i * element_bytes(type);
    if (type == Element::F32) {
      std::memcpy(at, &value, sizeof(value));
      return;
    }
    const std::uint16_t half = type == Element::Bf16 ? float_to_bfloat16(value)
                                                     : float_to_float16(value);
    std::memcpy(at, &half, sizeof(half));
  }

  std::vector<std::byte> bytes_;
};

}  // namespace mantissa::kernels
