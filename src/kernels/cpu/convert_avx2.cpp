#include "kernels/cpu/convert.h"

#include <immintrin.h>

namespace mantissa::kernels {

void bf16_to_f32_avx2(const uint16_t* from, float* to, int64_t count) {
  for (int64_t i = 0; i < count; i += 8) {
    const __m128i bits =
        _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i));
    const __m256i wide = _mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16);
    _mm256_storeu_ps(to + i, _mm256_castsi256_ps(wide));
  }
}

void f16_to_f32_avx2(const uint16_t* from, float* to, int64_t count) {
  for (int64_t i = 0; i < count; i += 8) {
    const __m128i bits =
        _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i));
    _mm256_storeu_ps(to + i, _mm256_cvtph_ps(bits));
  }
}

void f32_to_bf16_avx2(const float* from, uint16_t* to, int64_t count) {
  const __m256i bias = _mm256_set1_epi32(0x7fff);
  const __m256i one = _mm256_set1_epi32(1);
  const __m256i nan = _mm256_set1_epi32(0x7fc0);
  for (int64_t i = 0; i < count; i += 8) {
    const __m256 value = _mm256_loadu_ps(from + i);
    const __m256i bits = _mm256_castps_si256(value);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), one);
    const __m256i sum = _mm256_add_epi32(bits, _mm256_add_epi32(bias, odd));
    const __m256 is_nan = _mm256_cmp_ps(value, value, _CMP_UNORD_Q);
    const __m256i rounded = _mm256_blendv_epi8(
        _mm256_srli_epi32(sum, 16), nan, _mm256_castps_si256(is_nan));
    const __m128i packed = _mm_packus_epi32(
        _mm256_castsi256_si128(rounded), _mm256_extracti128_si256(rounded, 1));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to + i), packed);
  }
}

void f32_to_f16_avx2(const float* from, uint16_t* to, int64_t count) {
  // A NaN keeps its sign and loses its payload.
  const __m256 sign = _mm256_castsi256_ps(_mm256_set1_epi32(INT32_MIN));
  const __m256 nan = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fc00000));
  for (int64_t i = 0; i < count; i += 8) {
    const __m256 value = _mm256_loadu_ps(from + i);
    const __m256 quiet = _mm256_or_ps(_mm256_and_ps(value, sign), nan);
    const __m256 is_nan = _mm256_cmp_ps(value, value, _CMP_UNORD_Q);
    const __m128i bits =
        _mm256_cvtps_ph(_mm256_blendv_ps(value, quiet, is_nan),
                        _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to + i), bits);
  }
}

int64_t finite_prefix_16_avx2(const void* data,
                              int64_t count,
                              uint16_t exponent) {
  const char* bytes = static_cast<const char*>(data);
  const __m256i mask = _mm256_set1_epi16(static_cast<short>(exponent));
  int64_t i = 0;
  for (; i + 32 <= count; i += 32) {
    const __m256i a =
        _mm256_loadu_si256(reinterpret_cast<const __m256i*>(bytes + 2 * i));
    const __m256i b = _mm256_loadu_si256(
        reinterpret_cast<const __m256i*>(bytes + 2 * i + 32));
    const __m256i bad =
        _mm256_or_si256(_mm256_cmpeq_epi16(_mm256_and_si256(a, mask), mask),
                        _mm256_cmpeq_epi16(_mm256_and_si256(b, mask), mask));
    if (!_mm256_testz_si256(bad, bad)) break;
  }
  return i;
}

int64_t finite_prefix_32_avx2(const void* data,
                              int64_t count,
                              uint32_t exponent) {
  const char* bytes = static_cast<const char*>(data);
  const __m256i mask = _mm256_set1_epi32(static_cast<int>(exponent));
  int64_t i = 0;
  for (; i + 16 <= count; i += 16) {
    const __m256i a =
        _mm256_loadu_si256(reinterpret_cast<const __m256i*>(bytes + 4 * i));
    const __m256i b = _mm256_loadu_si256(
        reinterpret_cast<const __m256i*>(bytes + 4 * i + 32));
    const __m256i bad =
        _mm256_or_si256(_mm256_cmpeq_epi32(_mm256_and_si256(a, mask), mask),
                        _mm256_cmpeq_epi32(_mm256_and_si256(b, mask), mask));
    if (!_mm256_testz_si256(bad, bad)) break;
  }
  return i;
}

}  // namespace mantissa::kernels
