#pragma once

// Only C headers and <immintrin.h> here: AVX-512 files include this.
#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#include "kernels/linear_lowbit_args.h"

namespace mantissa::kernels {
namespace {

/// 16 columns of a low-bit weight, or values of a row, as floats.
struct Columns16 {
  using Float = __m512;
  using Int = __m512i;
  static constexpr int64_t kWidth = 16;
  static constexpr int kSums = 16;  // registers for sums

  static inline void prefetch(const uint8_t* p) {
    _mm_prefetch(reinterpret_cast<const char*>(p), _MM_HINT_T0);
  }
  static inline Int load(const uint8_t* p) { return _mm512_loadu_si512(p); }
  static inline Int ints(int32_t v) { return _mm512_set1_epi32(v); }
  static inline Int bytes(int v) {
    return _mm512_set1_epi8(static_cast<char>(v));
  }
  static inline Int bit_and(Int a, Int b) { return _mm512_and_si512(a, b); }
  static inline Int bit_or(Int a, Int b) { return _mm512_or_si512(a, b); }
  static inline Int bit_xor(Int a, Int b) { return _mm512_xor_si512(a, b); }
  // Whether all bits are 0.
  static inline bool none(Int v) { return _mm512_test_epi32_mask(v, v) == 0; }
  // b, v where `by` is 0 or NaN.
  static inline Float unless_zero(Float by, Float v, Float b) {
    return _mm512_mask_mov_ps(
        v, _mm512_cmp_ps_mask(by, _mm512_setzero_ps(), _CMP_NEQ_OQ), b);
  }
  static inline Int left16(Int v, int by) {
    return _mm512_slli_epi16(v, static_cast<unsigned>(by));
  }
  static inline Int right16(Int v, int by) {
    return _mm512_srli_epi16(v, static_cast<unsigned>(by));
  }
  static inline Int left32(Int v, int by) {
    return _mm512_slli_epi32(v, static_cast<unsigned>(by));
  }
  static inline Int right32(Int v, int by) {
    return _mm512_srli_epi32(v, static_cast<unsigned>(by));
  }
  // Keeps a sum in its register.
  static inline void pin(Float& sum) { __asm__("" : "+v"(sum)); }
  static inline Int add32(Int a, Int b) { return _mm512_add_epi32(a, b); }
  static inline Int as_ints(Float v) { return _mm512_castps_si512(v); }
  // b, v where that is NaN.
  static inline Float unless_nan(Float v, Float b) {
    return _mm512_mask_mov_ps(b, _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q), v);
  }
  static inline Float round_f16(Float v) {
    return _mm512_cvtph_ps(_mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
  }
  static inline Float as_float(Int v) { return _mm512_castsi512_ps(v); }

  static inline Int right32_signed(Int v, int by) {
    return _mm512_srai_epi32(v, static_cast<unsigned>(by));
  }
  // `then` where a > b, else 0.
  static inline Int if_above(Int a, Int b, Int then) {
    return _mm512_maskz_mov_epi32(_mm512_cmpgt_epi32_mask(a, b), then);
  }
  static inline Float load(const float* p) { return _mm512_loadu_ps(p); }
  static inline void store(float* p, Float v) { _mm512_storeu_ps(p, v); }
  static inline Float splat(float v) { return _mm512_set1_ps(v); }
  static inline Float add(Float a, Float b) { return _mm512_add_ps(a, b); }
  static inline Float subtract(Float a, Float b) { return _mm512_sub_ps(a, b); }
  static inline Float multiply(Float a, Float b) { return _mm512_mul_ps(a, b); }
  static inline Float fma(Float a, Float b, Float c) {
    return _mm512_fmadd_ps(a, b, c);
  }
  static inline __mmask16 first(int64_t count) {
    return static_cast<__mmask16>((1u << count) - 1);
  }
  static inline Float load_some(const float* p, int64_t count) {
    return _mm512_maskz_loadu_ps(first(count), p);
  }
  static inline void store_some(float* p, Float v, int64_t count) {
    _mm512_mask_storeu_ps(p, first(count), v);
  }

  // Scales or offsets.
  static inline Float metadata(LowbitScale type, const void* from, int64_t at) {
    if (type == LowbitScale::F32) {
      return load(static_cast<const float*>(from) + at);
    }
    const __m256i half = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(
        static_cast<const uint16_t*>(from) + at));
    if (type == LowbitScale::F16) return _mm512_cvtph_ps(half);
    return as_float(left32(_mm512_cvtepu16_epi32(half), 16));
  }
  // Signed bytes, as integers and as floats.
  static inline Int widened(const int8_t* p) {
    return _mm512_cvtepi8_epi32(
        _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }
  static inline Float eights(const int8_t* p) {
    return _mm512_cvtepi32_ps(widened(p));
  }
  // zero + lowbit_middle().
  static inline Float zeros(const LowbitWeightView& w, int64_t at) {
    const Int offset = ints(lowbit_middle(w));
    if (w.zeros == nullptr) return _mm512_cvtepi32_ps(offset);
    const __m128i zero =
        _mm_loadu_si128(reinterpret_cast<const __m128i*>(w.zeros + at));
    return _mm512_cvtepi32_ps(
        _mm512_add_epi32(_mm512_cvtepi8_epi32(zero), offset));
  }
  // Whether all magnitudes of `count` (times 16) 16-bit floats are below.
  static inline bool all_below(const uint16_t* p, int64_t count, int limit) {
    const __m256i bound = _mm256_set1_epi16(static_cast<int16_t>(limit));
    __mmask16 over = 0;
    for (int64_t i = 0; i < count; i += 16) {
      const __m256i v =
          _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + i));
      over = static_cast<__mmask16>(
          over | _mm256_cmpge_epu16_mask(
                     _mm256_and_si256(v, _mm256_set1_epi16(0x7fff)), bound));
    }
    return over == 0;
  }
};

}  // namespace
}  // namespace mantissa::kernels
