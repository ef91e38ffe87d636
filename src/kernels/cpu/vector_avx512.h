#pragma once

// Only C headers and <immintrin.h> here: AVX-512 files include this.
#include <immintrin.h>
#include <stdint.h>

#include "kernels/common/element.h"

namespace mantissa::kernels {
namespace {

/// Vector operations of the encoder loops, 16 floats wide.
struct Avx512 {
  static constexpr int kFloats = 16;
  static constexpr int kHalves = 32;  // 16-bit integers in a register

  using Float = __m512;
  using Int = __m512i;

  static inline Float broadcast(float v) { return _mm512_set1_ps(v); }
  static inline Int broadcast(int32_t v) { return _mm512_set1_epi32(v); }

  template <Element kElement>
  static inline Float load(const void* x, int64_t i) {
    if constexpr (kElement == Element::F32) {
      return _mm512_loadu_ps(static_cast<const float*>(x) + i);
    } else {
      const __m256i half = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(
          static_cast<const uint16_t*>(x) + i));
      if constexpr (kElement == Element::F16) {
        return _mm512_cvtph_ps(half);
      } else {
        return _mm512_castsi512_ps(
            _mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
      }
    }
  }

  // Half to even; a NaN may come out as any value.
  template <Element kElement>
  static inline Float round_to(Float v) {
    if constexpr (kElement == Element::F32) {
      return v;
    } else if constexpr (kElement == Element::F16) {
      return _mm512_cvtph_ps(
          _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
    } else {
      const Int bits = _mm512_castps_si512(v);
      const Int odd =
          _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
      const Int sum = _mm512_add_epi32(
          _mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)), odd);
      return _mm512_castsi512_ps(
          _mm512_and_si512(sum, _mm512_set1_epi32(-0x10000)));
    }
  }

  static inline Float multiply(Float a, Float b) { return _mm512_mul_ps(a, b); }
  static inline Float divide(Float a, Float b) { return _mm512_div_ps(a, b); }
  static inline Float add(Float a, Float b) { return _mm512_add_ps(a, b); }

  using Double = __m512d;

  static inline Double zero() { return _mm512_setzero_pd(); }
  static inline Double low_doubles(Float v) {
    return _mm512_cvtps_pd(_mm512_castps512_ps256(v));
  }
  static inline Double high_doubles(Float v) {
    return _mm512_cvtps_pd(_mm512_extractf32x8_ps(v, 1));
  }
  static inline Double add(Double a, Double b) { return _mm512_add_pd(a, b); }
  static inline Double subtract(Double a, Double b) {
    return _mm512_sub_pd(a, b);
  }
  static inline Double multiply(Double a, Double b) {
    return _mm512_mul_pd(a, b);
  }
  static inline Double abs(Double v) { return _mm512_abs_pd(v); }
  // b where a or b is NaN.
  static inline Double max(Double a, Double b) { return _mm512_max_pd(a, b); }
  static inline void store(Double v, double* out) { _mm512_storeu_pd(out, v); }

  static inline Float subtract(Float a, Float b) { return _mm512_sub_ps(a, b); }

  // Signed bytes as floats.
  static inline Float load_codes(const int8_t* q) {
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(
        _mm_loadu_si128(reinterpret_cast<const __m128i*>(q))));
  }

  // Values rounded half to even as they are stored; NaN stays NaN.
  template <Element kElement>
  static inline void store(Float v, void* out) {
    if constexpr (kElement == Element::F32) {
      _mm512_storeu_ps(out, v);
    } else if constexpr (kElement == Element::F16) {
      _mm256_storeu_si256(
          static_cast<__m256i*>(out),
          _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
    } else {
      const Int high = _mm512_srli_epi32(
          _mm512_castps_si512(round_to<Element::Bf16>(v)), 16);
      const __mmask16 nan = _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
      _mm256_storeu_si256(static_cast<__m256i*>(out),
                          _mm512_cvtepi32_epi16(_mm512_mask_mov_epi32(
                              high, nan, _mm512_set1_epi32(0x7fc0))));
    }
  }

  static inline Float clamp(Float v, Float low, Float high) {
    return _mm512_min_ps(_mm512_max_ps(v, low), high);
  }

  // Low bytes of round_half_even(v) + zero; 0 where `test` is NaN.
  static inline void store_codes(Float v, Int zero, Float test, uint8_t* q) {
    const Int code = _mm512_add_epi32(_mm512_cvtps_epi32(v), zero);
    const __mmask16 ordered = _mm512_cmp_ps_mask(test, test, _CMP_ORD_Q);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(q),
                     _mm512_maskz_cvtepi32_epi8(ordered, code));
  }

  static inline Int load_bits(const void* x) { return _mm512_loadu_si512(x); }

  // Sign and magnitude turned into two's complement, and back.
  template <bool kHalf>
  static inline Int order(Int v) {
    if constexpr (kHalf) {
      return _mm512_xor_si512(v,
                              _mm512_srli_epi16(_mm512_srai_epi16(v, 15), 1));
    } else {
      return _mm512_xor_si512(v,
                              _mm512_srli_epi32(_mm512_srai_epi32(v, 31), 1));
    }
  }

  template <bool kHalf>
  static inline Int min(Int a, Int b) {
    return kHalf ? _mm512_min_epi16(a, b) : _mm512_min_epi32(a, b);
  }
  template <bool kHalf>
  static inline Int max(Int a, Int b) {
    return kHalf ? _mm512_max_epi16(a, b) : _mm512_max_epi32(a, b);
  }

  // Least lane as a sign-extended integer.
  template <bool kHalf>
  static inline int32_t reduce_min(Int v) {
    if constexpr (kHalf) {
      __m256i r = _mm256_min_epi16(_mm512_castsi512_si256(v),
                                   _mm512_extracti64x4_epi64(v, 1));
      __m128i s = _mm_min_epi16(_mm256_castsi256_si128(r),
                                _mm256_extracti128_si256(r, 1));
      // minpos works on unsigned lanes: shift the range by half of it.
      s = _mm_minpos_epu16(_mm_xor_si128(s, _mm_set1_epi16(-0x8000)));
      return static_cast<int16_t>(_mm_extract_epi16(s, 0) ^ 0x8000);
    } else {
      return _mm512_reduce_min_epi32(v);
    }
  }

  // max(v) = -1 - min(-1 - v) for two's complement.
  template <bool kHalf>
  static inline int32_t reduce_max(Int v) {
    return ~reduce_min<kHalf>(_mm512_xor_si512(v, _mm512_set1_epi32(-1)));
  }
};

}  // namespace
}  // namespace mantissa::kernels
