#include "kernels/cpu/absmax_runs.h"

#include <immintrin.h>

namespace mantissa::kernels {
namespace {

inline __m512i load_512(const void* p) { return _mm512_loadu_si512(p); }

// The largest of 32 unsigned 16-bit numbers.
inline uint16_t max_16(__m512i v) {
  const __m256i a = _mm256_max_epu16(_mm512_castsi512_si256(v),
                                     _mm512_extracti64x4_epi64(v, 1));
  const __m128i b =
      _mm_max_epu16(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
  // minpos finds the smallest: of the complement, the largest.
  const __m128i least = _mm_minpos_epu16(_mm_xor_si128(b, _mm_set1_epi16(-1)));
  return static_cast<uint16_t>(~_mm_cvtsi128_si32(least));
}

}  // namespace

void absmax_16_avx512(const uint16_t* x,
                      int64_t run,
                      int64_t runs,
                      uint16_t* out) {
  const __m512i magnitude = _mm512_set1_epi16(0x7fff);
  const __mmask32 rest =
      static_cast<__mmask32>((uint64_t{1} << (run % 32)) - 1u);
  for (int64_t r = 0; r < runs; ++r, x += run) {
    __m512i a = _mm512_setzero_si512();
    __m512i b = _mm512_setzero_si512();
    int64_t i = 0;
    for (; i + 64 <= run; i += 64) {
      a = _mm512_max_epu16(a, _mm512_and_si512(load_512(x + i), magnitude));
      b = _mm512_max_epu16(b,
                           _mm512_and_si512(load_512(x + i + 32), magnitude));
    }
    if (i + 32 <= run) {
      a = _mm512_max_epu16(a, _mm512_and_si512(load_512(x + i), magnitude));
      i += 32;
    }
    if (rest != 0) {
      b = _mm512_max_epu16(
          b,
          _mm512_and_si512(_mm512_maskz_loadu_epi16(rest, x + i), magnitude));
    }
    out[r] = max_16(_mm512_max_epu16(a, b));
  }
}

void absmax_32_avx512(const uint32_t* x,
                      int64_t run,
                      int64_t runs,
                      uint32_t* out) {
  const __m512i magnitude = _mm512_set1_epi32(0x7fffffff);
  const __mmask16 rest = static_cast<__mmask16>((1u << (run % 16)) - 1u);
  for (int64_t r = 0; r < runs; ++r, x += run) {
    __m512i a = _mm512_setzero_si512();
    int64_t i = 0;
    for (; i + 16 <= run; i += 16) {
      a = _mm512_max_epu32(a, _mm512_and_si512(load_512(x + i), magnitude));
    }
    if (rest != 0) {
      a = _mm512_max_epu32(
          a,
          _mm512_and_si512(_mm512_maskz_loadu_epi32(rest, x + i), magnitude));
    }
    out[r] = _mm512_reduce_max_epu32(a);
  }
}

}  // namespace mantissa::kernels
