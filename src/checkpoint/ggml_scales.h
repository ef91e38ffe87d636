#pragma once

#include "checkpoint/ggml_decode.h"

namespace mantissa::ggml {

/// Scale and minimum `i` of the eight 6-bit pairs in 12 bytes (Q4_K, Q5_K): the
/// first four lie in the low 6 bits, the last four share bytes 8..11 and the
/// top 2 bits.
struct ScaleMin {
  int scale;
  int min;
};

inline ScaleMin scale_min_at(const std::byte* in, int i) {
  if (i < 4) {
    return {static_cast<int>(byte_at(in, i) & 63u),
            static_cast<int>(byte_at(in, i + 4) & 63u)};
  }
  const unsigned low = byte_at(in, i + 4);
  return {static_cast<int>((low & 15u) | (byte_at(in, i - 4) >> 6 << 4)),
          static_cast<int>((low >> 4) | (byte_at(in, i) >> 6 << 4))};
}

/// The 6-bit scale `i` of 16 in Q3_K's 12 bytes: low nibbles in bytes 0..7 (low
/// halves first), high pairs in bytes 8..11.
inline int q3_scale_at(const std::byte* in, int i) {
  const unsigned low = byte_at(in, i % 8) >> (i / 8 * 4) & 15u;
  const unsigned high = byte_at(in, 8 + i % 4) >> (i / 4 * 2) & 3u;
  return static_cast<int>(low | high << 4) - 32;
}

}  // namespace mantissa::ggml
