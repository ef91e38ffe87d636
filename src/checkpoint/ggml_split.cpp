#include "checkpoint/ggml_split.h"

#include <algorithm>

#include "checkpoint/ggml_scales.h"

namespace mantissa {
namespace {

using ggml::byte_at;

std::uint16_t half_bits(const std::byte* in) {
  return static_cast<std::uint16_t>(byte_at(in, 0) | byte_at(in, 1) << 8);
}

std::uint16_t negative_half(const std::byte* in) {
  return half_bits(in) ^ 0x8000;
}

std::int8_t code(unsigned bits, int middle) {
  return static_cast<std::int8_t>(static_cast<int>(bits) - middle);
}

// Low nibbles of 16 bytes, then the high ones; with fifth bits from `high` on
// where kBits is 5.
template <int kBits>
void split_32(const std::byte* nibbles,
              const std::byte* high,
              std::int8_t* codes) {
  for (int i = 0; i < 32; ++i) {
    unsigned bits = byte_at(nibbles, i % 16) >> (i / 16 * 4) & 15u;
    if constexpr (kBits == 5) {
      bits |= (byte_at(high, i / 8) >> (i % 8) & 1u) << 4;
    }
    codes[i] = code(bits, 1 << (kBits - 1));
  }
}

void split_q4_1(const std::byte* in, GgmlParts& out) {
  out.scale = half_bits(in);
  out.minimum = half_bits(in + 2);
  split_32<4>(in + 4, nullptr, out.codes);
}

void split_q5_1(const std::byte* in, GgmlParts& out) {
  out.scale = half_bits(in);
  out.minimum = half_bits(in + 2);
  split_32<5>(in + 8, in + 4, out.codes);
}

// Q4_K and Q5_K: d, dmin, scales and minima, with 5 bits the high bits,
// nibbles.
template <int kBits>
void split_minima(const std::byte* in, GgmlParts& out) {
  out.scale = half_bits(in);
  out.minimum = negative_half(in + 2);
  const std::byte* high = in + 16;
  const std::byte* nibbles = kBits == 5 ? in + 48 : in + 16;
  for (int sub = 0; sub < 8; ++sub) {
    const ggml::ScaleMin pair = ggml::scale_min_at(in + 4, sub);
    out.factors[sub] = static_cast<std::int8_t>(pair.scale);
    out.minimum_factors[sub] = static_cast<std::int8_t>(pair.min);
    for (int i = 0; i < 32; ++i) {
      unsigned bits = byte_at(nibbles + sub / 2 * 32, i) >> (sub % 2 * 4) & 15u;
      if constexpr (kBits == 5) bits |= (byte_at(high, i) >> sub & 1u) << 4;
      out.codes[sub * 32 + i] = code(bits, 1 << (kBits - 1));
    }
  }
}

// The two bits of value i of Q2_K and Q3_K: 128 values share 32 bytes.
unsigned two_bits(const std::byte* in, int i) {
  return byte_at(in + i / 128 * 32, i % 32) >> (i % 128 / 32 * 2) & 3u;
}

void split_q2_k(const std::byte* in, GgmlParts& out) {
  out.scale = half_bits(in + 80);
  out.minimum = negative_half(in + 82);
  for (int sub = 0; sub < 16; ++sub) {
    const unsigned byte = byte_at(in, sub);
    out.factors[sub] = static_cast<std::int8_t>(byte & 15u);
    out.minimum_factors[sub] = static_cast<std::int8_t>(byte >> 4);
  }
  for (int i = 0; i < 256; ++i) out.codes[i] = code(two_bits(in + 16, i), 2);
}

void split_q3_k(const std::byte* in, GgmlParts& out) {
  out.scale = half_bits(in + 108);
  for (int sub = 0; sub < 16; ++sub) {
    out.factors[sub] =
        static_cast<std::int8_t>(ggml::q3_scale_at(in + 96, sub));
  }
  for (int i = 0; i < 256; ++i) {
    const unsigned high = byte_at(in, i % 32) >> (i / 32) & 1u;
    out.codes[i] = code(two_bits(in + 32, i) | high << 2, 4);
  }
}

void split_q6_k(const std::byte* in, GgmlParts& out) {
  out.scale = half_bits(in + 208);
  for (int sub = 0; sub < 16; ++sub) {
    out.factors[sub] = static_cast<std::int8_t>(byte_at(in + 192, sub));
  }
  for (int i = 0; i < 256; ++i) {
    const int half = i / 128;
    const int run = i % 128 / 32;
    const unsigned low =
        byte_at(in + half * 64 + run % 2 * 32, i % 32) >> (run / 2 * 4) & 15u;
    const unsigned high =
        byte_at(in + 128 + half * 32, i % 32) >> (run * 2) & 3u;
    out.codes[i] = code(low | high << 4, 32);
  }
}

constexpr GgmlSplit kSplits[] = {
    {"Q4_1", 20, split_q4_1},
    {"Q5_1", 24, split_q5_1},
    {"Q2_K", 84, split_q2_k},
    {"Q3_K", 110, split_q3_k},
    {"Q4_K", 144, split_minima<4>},
    {"Q5_K", 176, split_minima<5>},
    {"Q6_K", 210, split_q6_k},
};

}  // namespace

const GgmlSplit* find_ggml_split(std::string_view type) {
  const auto* const row = std::ranges::find(kSplits, type, &GgmlSplit::type);
  return row == std::end(kSplits) ? nullptr : row;
}

}  // namespace mantissa
