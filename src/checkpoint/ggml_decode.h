#pragma once

#include <cstddef>
#include <cstdint>

#include <mantissa/primitives/float_casts.h>

namespace mantissa::ggml {

// Scalar decoders, one per block type: `blocks` blocks at `in` (no alignment
// needed) to float32. They define the result. Layouts, byte by byte ("d" and
// "m" are half floats, "lo" and "hi" the nibbles of a byte):
//   Q4_0  d, 16 x (lo: value i, hi: value i + 16)             d * (q - 8)
//   Q4_1  d, m, 16 x (lo, hi)                                 d * q + m
//   Q5_0  d, u32 of fifth bits, 16 x (lo, hi)                 d * (q - 16)
//   Q5_1  d, m, u32 of fifth bits, 16 x (lo, hi)              d * q + m
//   Q8_0  d, 32 x int8                                        d * q

void decode_f32(const std::byte* in, std::int64_t blocks, float* out);
void decode_f16(const std::byte* in, std::int64_t blocks, float* out);
void decode_bf16(const std::byte* in, std::int64_t blocks, float* out);
void decode_q4_0(const std::byte* in, std::int64_t blocks, float* out);
void decode_q4_1(const std::byte* in, std::int64_t blocks, float* out);
void decode_q5_0(const std::byte* in, std::int64_t blocks, float* out);
void decode_q5_1(const std::byte* in, std::int64_t blocks, float* out);
void decode_q8_0(const std::byte* in, std::int64_t blocks, float* out);

// Super-blocks of 256 values in sub-blocks of 16 or 32 with scales of their
// own:
//   Q2_K  16 x (lo: scale, hi: minimum), 64 x four 2-bit codes, d, dmin
//   Q3_K  32 x eight high bits, 64 x four 2-bit codes, 12 B of 6-bit scales, d
//   Q4_K  d, dmin, 12 B of 6-bit scales and minima, 128 x (lo, hi)
//   Q5_K  d, dmin, 12 B likewise, 32 x eight high bits, 128 x (lo, hi)
//   Q6_K  128 x (lo, hi), 64 x four 2-bit high parts, 16 x int8 scale, d
void decode_q2_k(const std::byte* in, std::int64_t blocks, float* out);
void decode_q3_k(const std::byte* in, std::int64_t blocks, float* out);
void decode_q4_k(const std::byte* in, std::int64_t blocks, float* out);
void decode_q5_k(const std::byte* in, std::int64_t blocks, float* out);
void decode_q6_k(const std::byte* in, std::int64_t blocks, float* out);

/// A little-endian half float at any address.
inline float half_at(const std::byte* in) {
  return float16_to_float(
      static_cast<std::uint16_t>(std::to_integer<unsigned>(in[0]) |
                                 (std::to_integer<unsigned>(in[1]) << 8)));
}

inline unsigned byte_at(const std::byte* in, int i) {
  return std::to_integer<unsigned>(in[i]);
}

}  // namespace mantissa::ggml
