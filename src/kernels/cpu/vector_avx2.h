#pragma once

// Only C headers and <immintrin.h> here: AVX2 files include this.
#include <immintrin.h>
#include <stdint.h>

#include "kernels/common/element.h"

namespace mantissa::kernels {
namespace {

/// Vector operations of the encoder loops, 8 floats wide.
struct Avx2 {
  static constexpr int kFloats = 8;
  static constexpr int kHalves = 16;  // 16-bit integers in a register

  using Float = __m256;
  using Int = __m256i;

  static inline Float broadcast(float v) { return _mm256_set1_ps(v); }
  static inline Int broadcast(int32_t v) { return _mm256_set1_epi32(v); }

  template <Element kElement>
  static inline Float load(const void* x, int64_t i) {
    if constexpr (kElement == Element::F32) {
      return _mm256_loadu_ps(static_cast<const float*>(x) + i);
    } else {
      const __m128i half = _mm_loadu_si128(reinterpret_cast<const __m128i*>(
          static_cast<const uint16_t*>(x) + i));
      if constexpr (kElement == Element::F16) {
        return _mm256_cvtph_ps(half);
      } else {
        return _mm256_castsi256_ps(
            _mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16));
      }
    }
  }

  // Half to even; a NaN may come out as any value.
  template <Element kElement>
  static inline Float round_to(Float v) {
    if constexpr (kElement == Element::F32) {
      return v;
    } else if constexpr (kElement == Element::F16) {
      return _mm256_cvtph_ps(
          _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
    } else {
      const Int bits = _mm256_castps_si256(v);
      const Int odd =
          _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
      const Int sum = _mm256_add_epi32(
          _mm256_add_epi32(bits, _mm256_set1_epi32(0x7fff)), odd);
      return _mm256_castsi256_ps(
          _mm256_and_si256(sum, _mm256_set1_epi32(-0x10000)));
    }
  }

  static inline Float multiply(Float a, Float b) { return _mm256_mul_ps(a, b); }
  static inline Float divide(Float a, Float b) { return _mm256_div_ps(a, b); }
  static inline Float add(Float a, Float b) { return _mm256_add_ps(a, b); }

  using Double = __m256d;

  static inline Double zero() { return _mm256_setzero_pd(); }
  static inline Double low_doubles(Float v) {
    return _mm256_cvtps_pd(_mm256_castps256_ps128(v));
  }
  static inline Double high_doubles(Float v) {
    return _mm256_cvtps_pd(_mm256_extractf128_ps(v, 1));
  }
  static inline Double add(Double a, Double b) { return _mm256_add_pd(a, b); }
  static inline Double subtract(Double a, Double b) {
    return _mm256_sub_pd(a, b);
  }
  static inline Double multiply(Double a, Double b) {
    return _mm256_mul_pd(a, b);
  }
  static inline Double abs(Double v) {
    return _mm256_andnot_pd(_mm256_set1_pd(-0.0), v);
  }
  // b where a or b is NaN.
  static inline Double max(Double a, Double b) { return _mm256_max_pd(a, b); }
  static inline void store(Double v, double* out) { _mm256_storeu_pd(out, v); }

  static inline Float subtract(Float a, Float b) { return _mm256_sub_ps(a, b); }

  // Signed bytes as floats.
  static inline Float load_codes(const int8_t* q) {
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(
        _mm_loadl_epi64(reinterpret_cast<const __m128i*>(q))));
  }

  // Values rounded half to even as they are stored; NaN stays NaN.
  template <Element kElement>
  static inline void store(Float v, void* out) {
    if constexpr (kElement == Element::F32) {
      _mm256_storeu_ps(static_cast<float*>(out), v);
    } else if constexpr (kElement == Element::F16) {
      _mm_storeu_si128(
          static_cast<__m128i*>(out),
          _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
    } else {
      const Int high = _mm256_srli_epi32(
          _mm256_castps_si256(round_to<Element::Bf16>(v)), 16);
      const Int nan = _mm256_castps_si256(_mm256_cmp_ps(v, v, _CMP_UNORD_Q));
      const Int word = _mm256_blendv_epi8(high, _mm256_set1_epi32(0x7fc0), nan);
      _mm_storeu_si128(static_cast<__m128i*>(out),
                       _mm_packus_epi32(_mm256_castsi256_si128(word),
                                        _mm256_extracti128_si256(word, 1)));
    }
  }

  static inline Float clamp(Float v, Float low, Float high) {
    return _mm256_min_ps(_mm256_max_ps(v, low), high);
  }

  // Low bytes of round_half_even(v) + zero; 0 where `test` is NaN.
  static inline void store_codes(Float v, Int zero, Float test, uint8_t* q) {
    const Int ordered =
        _mm256_castps_si256(_mm256_cmp_ps(test, test, _CMP_ORD_Q));
    const Int code = _mm256_and_si256(
        _mm256_and_si256(_mm256_add_epi32(_mm256_cvtps_epi32(v), zero),
                         _mm256_set1_epi32(0xff)),
        ordered);
    const __m128i halves = _mm_packus_epi32(_mm256_castsi256_si128(code),
                                            _mm256_extracti128_si256(code, 1));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(q),
                     _mm_packus_epi16(halves, halves));
  }

  static inline Int load_bits(const void* x) {
    return _mm256_loadu_si256(static_cast<const __m256i*>(x));
  }

  // Sign and magnitude turned into two's complement, and back.
  template <bool kHalf>
  static inline Int order(Int v) {
    if constexpr (kHalf) {
      return _mm256_xor_si256(v,
                              _mm256_srli_epi16(_mm256_srai_epi16(v, 15), 1));
    } else {
      return _mm256_xor_si256(v,
                              _mm256_srli_epi32(_mm256_srai_epi32(v, 31), 1));
    }
  }

  template <bool kHalf>
  static inline Int min(Int a, Int b) {
    return kHalf ? _mm256_min_epi16(a, b) : _mm256_min_epi32(a, b);
  }
  template <bool kHalf>
  static inline Int max(Int a, Int b) {
    return kHalf ? _mm256_max_epi16(a, b) : _mm256_max_epi32(a, b);
  }

  // Least lane as a sign-extended integer.
  template <bool kHalf>
  static inline int32_t reduce_min(Int v) {
    const __m128i low = _mm256_castsi256_si128(v);
    const __m128i high = _mm256_extracti128_si256(v, 1);
    if constexpr (kHalf) {
      // minpos works on unsigned lanes: shift the range by half of it.
      const __m128i s = _mm_minpos_epu16(
          _mm_xor_si128(_mm_min_epi16(low, high), _mm_set1_epi16(-0x8000)));
      return static_cast<int16_t>(_mm_extract_epi16(s, 0) ^ 0x8000);
    } else {
      __m128i s = _mm_min_epi32(low, high);
      s = _mm_min_epi32(s, _mm_shuffle_epi32(s, 0x4e));
      s = _mm_min_epi32(s, _mm_shuffle_epi32(s, 0xb1));
      return _mm_cvtsi128_si32(s);
    }
  }

  // max(v) = -1 - min(-1 - v) for two's complement.
  template <bool kHalf>
  static inline int32_t reduce_max(Int v) {
    return ~reduce_min<kHalf>(_mm256_xor_si256(v, _mm256_set1_epi32(-1)));
  }
};

}  // namespace
}  // namespace mantissa::kernels
