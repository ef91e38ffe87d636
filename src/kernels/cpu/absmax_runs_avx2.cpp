#include "kernels/cpu/absmax_runs.h"

#include <immintrin.h>
#include <string.h>

namespace mantissa::kernels {
namespace {

inline __m256i load_256(const void* p) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(p));
}

}  // namespace

void absmax_16_avx2(const uint16_t* x,
                    int64_t run,
                    int64_t runs,
                    uint16_t* out) {
  const __m256i magnitude = _mm256_set1_epi16(0x7fff);
  for (int64_t r = 0; r < runs; ++r, x += run) {
    __m256i a = _mm256_setzero_si256();
    __m256i b = _mm256_setzero_si256();
    int64_t i = 0;
    for (; i + 32 <= run; i += 32) {
      a = _mm256_max_epu16(a, _mm256_and_si256(load_256(x + i), magnitude));
      b = _mm256_max_epu16(b,
                           _mm256_and_si256(load_256(x + i + 16), magnitude));
    }
    a = _mm256_max_epu16(a, b);
    const __m128i c = _mm_max_epu16(_mm256_castsi256_si128(a),
                                    _mm256_extracti128_si256(a, 1));
    // minpos finds the smallest: of the complement, the largest.
    const __m128i least =
        _mm_minpos_epu16(_mm_xor_si128(c, _mm_set1_epi16(-1)));
    uint16_t best = static_cast<uint16_t>(~_mm_cvtsi128_si32(least));
    for (; i < run; ++i) {
      uint16_t bits;
      memcpy(&bits, x + i, sizeof(bits));
      bits &= 0x7fff;
      if (bits > best) best = bits;
    }
    out[r] = best;
  }
}

void absmax_32_avx2(const uint32_t* x,
                    int64_t run,
                    int64_t runs,
                    uint32_t* out) {
  const __m256i magnitude = _mm256_set1_epi32(0x7fffffff);
  for (int64_t r = 0; r < runs; ++r, x += run) {
    __m256i a = _mm256_setzero_si256();
    int64_t i = 0;
    for (; i + 8 <= run; i += 8) {
      a = _mm256_max_epu32(a, _mm256_and_si256(load_256(x + i), magnitude));
    }
    uint32_t lanes[8];
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(lanes), a);
    uint32_t best = 0;
    for (const uint32_t lane : lanes) {
      if (lane > best) best = lane;
    }
    for (; i < run; ++i) {
      uint32_t bits;
      memcpy(&bits, x + i, sizeof(bits));
      bits &= 0x7fffffff;
      if (bits > best) best = bits;
    }
    out[r] = best;
  }
}

}  // namespace mantissa::kernels
