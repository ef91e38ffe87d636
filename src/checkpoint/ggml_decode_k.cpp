#include "checkpoint/ggml_scales.h"

namespace mantissa::ggml {
namespace {

constexpr int kSuper = 256;

std::int8_t signed_at(const std::byte* in, int i) {
  return static_cast<std::int8_t>(byte_at(in, i));
}

}  // namespace

void decode_q2_k(const std::byte* in, std::int64_t blocks, float* out) {
  for (; blocks > 0; --blocks, in += 84, out += kSuper) {
    const std::byte* codes = in + 16;
    const float d = half_at(in + 80);
    const float dmin = half_at(in + 82);
    for (int sub = 0; sub < 16; ++sub) {
      const unsigned byte = byte_at(in, sub);
      const float scale = d * static_cast<float>(byte & 15u);
      const float min = dmin * static_cast<float>(byte >> 4);
      // 128 values share 32 bytes: shift 0, 2, 4, 6 for each run of 32.
      const std::byte* bytes = codes + sub / 8 * 32 + sub % 2 * 16;
      const int shift = sub / 2 % 4 * 2;
      for (int i = 0; i < 16; ++i) {
        const auto q = static_cast<float>(byte_at(bytes, i) >> shift & 3u);
        out[sub * 16 + i] = scale * q - min;
      }
    }
  }
}

void decode_q3_k(const std::byte* in, std::int64_t blocks, float* out) {
  for (; blocks > 0; --blocks, in += 110, out += kSuper) {
    const std::byte* codes = in + 32;
    const float d = half_at(in + 108);
    for (int sub = 0; sub < 16; ++sub) {
      const float scale = d * static_cast<float>(q3_scale_at(in + 96, sub));
      const std::byte* bytes = codes + sub / 8 * 32 + sub % 2 * 16;
      const std::byte* high = in + sub % 2 * 16;
      const int shift = sub / 2 % 4 * 2;
      for (int i = 0; i < 16; ++i) {
        const int low = static_cast<int>(byte_at(bytes, i) >> shift & 3u);
        const int minus = (byte_at(high, i) >> (sub / 2) & 1u) != 0 ? 0 : 4;
        out[sub * 16 + i] = scale * static_cast<float>(low - minus);
      }
    }
  }
}

void decode_q4_k(const std::byte* in, std::int64_t blocks, float* out) {
  for (; blocks > 0; --blocks, in += 144, out += kSuper) {
    const float d = half_at(in);
    const float dmin = half_at(in + 2);
    for (int sub = 0; sub < 8; ++sub) {
      const ScaleMin pair = scale_min_at(in + 4, sub);
      const float scale = d * static_cast<float>(pair.scale);
      const float min = dmin * static_cast<float>(pair.min);
      const std::byte* bytes = in + 16 + sub / 2 * 32;
      const int shift = sub % 2 * 4;
      for (int i = 0; i < 32; ++i) {
        const auto q = static_cast<float>(byte_at(bytes, i) >> shift & 15u);
        out[sub * 32 + i] = scale * q - min;
      }
    }
  }
}

void decode_q5_k(const std::byte* in, std::int64_t blocks, float* out) {
  for (; blocks > 0; --blocks, in += 176, out += kSuper) {
    const float d = half_at(in);
    const float dmin = half_at(in + 2);
    const std::byte* high = in + 16;
    for (int sub = 0; sub < 8; ++sub) {
      const ScaleMin pair = scale_min_at(in + 4, sub);
      const float scale = d * static_cast<float>(pair.scale);
      const float min = dmin * static_cast<float>(pair.min);
      const std::byte* bytes = in + 48 + sub / 2 * 32;
      const int shift = sub % 2 * 4;
      for (int i = 0; i < 32; ++i) {
        const unsigned q = (byte_at(bytes, i) >> shift & 15u) |
                           (byte_at(high, i) >> sub & 1u) << 4;
        out[sub * 32 + i] = scale * static_cast<float>(q) - min;
      }
    }
  }
}

void decode_q6_k(const std::byte* in, std::int64_t blocks, float* out) {
  for (; blocks > 0; --blocks, in += 210, out += kSuper) {
    const float d = half_at(in + 208);
    for (int sub = 0; sub < 16; ++sub) {
      const float scale = d * static_cast<float>(signed_at(in + 192, sub));
      // Each half of 128 values: 64 bytes of nibbles, 32 bytes of bit pairs.
      const int half = sub / 8;
      const int run = sub / 2 % 4;
      const int column = sub % 2 * 16;
      const std::byte* low = in + half * 64 + run % 2 * 32 + column;
      const std::byte* high = in + 128 + half * 32 + column;
      for (int i = 0; i < 16; ++i) {
        const unsigned q = (byte_at(low, i) >> (run / 2 * 4) & 15u) |
                           (byte_at(high, i) >> (run * 2) & 3u) << 4;
        out[sub * 16 + i] =
            scale * static_cast<float>(static_cast<int>(q) - 32);
      }
    }
  }
}

}  // namespace mantissa::ggml
