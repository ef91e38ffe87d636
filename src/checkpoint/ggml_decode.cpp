#include "checkpoint/ggml_decode.h"

#include <cstring>

namespace mantissa::ggml {
namespace {

constexpr int kBlock = 32;
constexpr int kHalf = kBlock / 2;

// Both nibbles of 16 bytes: low ones first.
template <class Value>
void spread_nibbles(const std::byte* codes, float* out, const Value& value) {
  for (int i = 0; i < kHalf; ++i) {
    const unsigned byte = byte_at(codes, i);
    out[i] = value(static_cast<int>(byte & 15u), i);
    out[i + kHalf] = value(static_cast<int>(byte >> 4), i + kHalf);
  }
}

std::uint32_t word_at(const std::byte* in) {
  return byte_at(in, 0) | (byte_at(in, 1) << 8) | (byte_at(in, 2) << 16) |
         (byte_at(in, 3) << 24);
}

int fifth_bit(std::uint32_t bits, int i) {
  return static_cast<int>((bits >> i) & 1u) << 4;
}

}  // namespace

void decode_f32(const std::byte* in, std::int64_t blocks, float* out) {
  std::memcpy(out, in, static_cast<std::size_t>(blocks) * sizeof(float));
}

void decode_f16(const std::byte* in, std::int64_t blocks, float* out) {
  for (std::int64_t i = 0; i < blocks; ++i) out[i] = half_at(in + 2 * i);
}

void decode_bf16(const std::byte* in, std::int64_t blocks, float* out) {
  for (std::int64_t i = 0; i < blocks; ++i) {
    out[i] = bfloat16_to_float(static_cast<std::uint16_t>(
        byte_at(in + 2 * i, 0) | (byte_at(in + 2 * i, 1) << 8)));
  }
}

void decode_q4_0(const std::byte* in, std::int64_t blocks, float* out) {
  for (; blocks > 0; --blocks, in += 18, out += kBlock) {
    const float d = half_at(in);
    spread_nibbles(
        in + 2, out, [&](int q, int) { return d * static_cast<float>(q - 8); });
  }
}

void decode_q4_1(const std::byte* in, std::int64_t blocks, float* out) {
  for (; blocks > 0; --blocks, in += 20, out += kBlock) {
    const float d = half_at(in);
    const float m = half_at(in + 2);
    spread_nibbles(
        in + 4, out, [&](int q, int) { return d * static_cast<float>(q) + m; });
  }
}

void decode_q5_0(const std::byte* in, std::int64_t blocks, float* out) {
  for (; blocks > 0; --blocks, in += 22, out += kBlock) {
    const float d = half_at(in);
    const std::uint32_t high = word_at(in + 2);
    spread_nibbles(in + 6, out, [&](int q, int i) {
      return d * static_cast<float>((q | fifth_bit(high, i)) - 16);
    });
  }
}

void decode_q5_1(const std::byte* in, std::int64_t blocks, float* out) {
  for (; blocks > 0; --blocks, in += 24, out += kBlock) {
    const float d = half_at(in);
    const float m = half_at(in + 2);
    const std::uint32_t high = word_at(in + 4);
    spread_nibbles(in + 8, out, [&](int q, int i) {
      return d * static_cast<float>(q | fifth_bit(high, i)) + m;
    });
  }
}

void decode_q8_0(const std::byte* in, std::int64_t blocks, float* out) {
  for (; blocks > 0; --blocks, in += 34, out += kBlock) {
    const float d = half_at(in);
    for (int i = 0; i < kBlock; ++i) {
      out[i] = d * static_cast<float>(static_cast<std::int8_t>(
                       std::to_integer<int>(in[2 + i])));
    }
  }
}

}  // namespace mantissa::ggml
