#include "kernels/cpu/convert.h"

#include <immintrin.h>

namespace mantissa::kernels {

void bf16_to_f32_avx512(const uint16_t* from, float* to, int64_t count) {
  for (int64_t i = 0; i < count; i += 16) {
    const __m512i wide = _mm512_slli_epi32(
        _mm512_cvtepu16_epi32(
            _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + i))),
        16);
    _mm512_storeu_si512(to + i, wide);
  }
}

void f16_to_f32_avx512(const uint16_t* from, float* to, int64_t count) {
  for (int64_t i = 0; i < count; i += 16) {
    const __m256i bits =
        _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + i));
    _mm512_storeu_ps(to + i, _mm512_cvtph_ps(bits));
  }
}

void f32_to_bf16_avx512(const float* from, uint16_t* to, int64_t count) {
  const __m512i bias = _mm512_set1_epi32(0x7fff);
  const __m512i one = _mm512_set1_epi32(1);
  const __m512i nan = _mm512_set1_epi32(0x7fc0);
  for (int64_t i = 0; i < count; i += 16) {
    const __m512 value = _mm512_loadu_ps(from + i);
    const __m512i bits = _mm512_castps_si512(value);
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), one);
    const __m512i sum = _mm512_add_epi32(bits, _mm512_add_epi32(bias, odd));
    const __mmask16 is_nan = _mm512_cmp_ps_mask(value, value, _CMP_UNORD_Q);
    const __m512i rounded =
        _mm512_mask_mov_epi32(_mm512_srli_epi32(sum, 16), is_nan, nan);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + i),
                        _mm512_cvtepi32_epi16(rounded));
  }
}

void f32_to_f16_avx512(const float* from, uint16_t* to, int64_t count) {
  // A NaN keeps its sign and loses its payload.
  const __m512i sign = _mm512_set1_epi32(INT32_MIN);
  const __m512i nan = _mm512_set1_epi32(0x7fc00000);
  for (int64_t i = 0; i < count; i += 16) {
    const __m512 value = _mm512_loadu_ps(from + i);
    const __mmask16 is_nan = _mm512_cmp_ps_mask(value, value, _CMP_UNORD_Q);
    const __m512i quiet = _mm512_or_si512(
        _mm512_and_si512(_mm512_castps_si512(value), sign), nan);
    const __m512i bits =
        _mm512_mask_mov_epi32(_mm512_castps_si512(value), is_nan, quiet);
    _mm256_storeu_si256(
        reinterpret_cast<__m256i*>(to + i),
        _mm512_cvtps_ph(_mm512_castsi512_ps(bits),
                        _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  }
}

}  // namespace mantissa::kernels
