#pragma once

#include "kernels/cpu/lanes_avx2.h"

namespace mantissa::kernels {
namespace {

/// Four lanes; operations as in LanesSse.
struct LanesAvx512 {
  using T = __m512i;
  using Half = LanesAvx2;
  static constexpr int kLanes = 4;

  static inline T zero() { return _mm512_setzero_si512(); }
  static inline T broadcast(int v) {
    return _mm512_set1_epi8(static_cast<char>(v));
  }
  static inline T table(const void* p) {
    return _mm512_broadcast_i32x4(LanesSse::load(p));
  }
  static inline T load(const void* p) { return _mm512_loadu_si512(p); }
  static inline void store(void* p, T v) { _mm512_storeu_si512(p, v); }

  static inline T bit_and(T a, T b) { return _mm512_and_si512(a, b); }
  static inline T bit_or(T a, T b) { return _mm512_or_si512(a, b); }
  static inline T bit_xor(T a, T b) { return _mm512_xor_si512(a, b); }
  static inline T add8(T a, T b) { return _mm512_add_epi8(a, b); }
  static inline T sub8(T a, T b) { return _mm512_sub_epi8(a, b); }
  static inline T add32(T a, T b) { return _mm512_add_epi32(a, b); }
  template <int kLeft>
  static inline T shift(T v) {
    if constexpr (kLeft >= 0) {
      return _mm512_slli_epi16(v, kLeft);
    } else {
      return _mm512_srli_epi16(v, -kLeft);
    }
  }
  static inline T sum8(T v) { return _mm512_sad_epu8(v, zero()); }
  static inline T even32(T a, T b) {
    return _mm512_castps_si512(_mm512_shuffle_ps(
        _mm512_castsi512_ps(a), _mm512_castsi512_ps(b), 0x88));
  }
  static inline __m128i fold(T v) {
    return LanesAvx2::fold(_mm256_add_epi32(_mm512_castsi512_si256(v),
                                            _mm512_extracti64x4_epi64(v, 1)));
  }
  static inline __m128i merged(T v) {
    return LanesAvx2::merged(_mm256_or_si256(_mm512_castsi512_si256(v),
                                             _mm512_extracti64x4_epi64(v, 1)));
  }
  static inline bool any(T v) { return _mm512_test_epi32_mask(v, v) != 0; }

  static inline T low8(T a, T b) { return _mm512_unpacklo_epi8(a, b); }
  static inline T high8(T a, T b) { return _mm512_unpackhi_epi8(a, b); }
  static inline T low64(T a, T b) { return _mm512_unpacklo_epi64(a, b); }
  static inline T high64(T a, T b) { return _mm512_unpackhi_epi64(a, b); }
  static inline T low_high(T a, T b) {
    return _mm512_mask_blend_epi64(0xaa, a, b);
  }
  static inline T high_low(T a, T b) { return _mm512_alignr_epi8(b, a, 8); }
  static inline T shuffle(T v, T map) { return _mm512_shuffle_epi8(v, map); }

  // GCC 12 warns about the form without a mask (GCC bug 105593).
  template <int kWhich>
  static inline T lanes(T a, T b) {
    return _mm512_maskz_shuffle_i32x4(0xffff, a, b, kWhich);
  }
  // A 4 x 4 matrix of lanes, rows for columns.
  static inline void transpose(T& a, T& b, T& c, T& d) {
    const T ab = lanes<0x44>(a, b);
    const T cd = lanes<0x44>(c, d);
    const T ab_high = lanes<0xee>(a, b);
    const T cd_high = lanes<0xee>(c, d);
    a = lanes<0x88>(ab, cd);
    b = lanes<0xdd>(ab, cd);
    c = lanes<0x88>(ab_high, cd_high);
    d = lanes<0xdd>(ab_high, cd_high);
  }
  static inline void load_rows(const int8_t* p, T (&rows)[8]) {
    for (int j = 0; j < 8; ++j) {
      rows[j] = load(p + 128 * (j % 4) + 64 * (j / 4));
    }
    transpose(rows[0], rows[1], rows[2], rows[3]);
    transpose(rows[4], rows[5], rows[6], rows[7]);
  }
  template <bool kStream>
  static inline void put(int8_t* p, T v) {
    if constexpr (kStream) {
      _mm512_stream_si512(reinterpret_cast<__m512i*>(p), v);
    } else {
      store(p, v);
    }
  }
  template <bool kStream>
  static inline void store_rows(int8_t* p, const T (&rows)[8]) {
    T a = rows[0], b = rows[1], c = rows[2], d = rows[3];
    T e = rows[4], f = rows[5], g = rows[6], h = rows[7];
    transpose(a, b, c, d);
    transpose(e, f, g, h);
    put<kStream>(p, a);
    put<kStream>(p + 64, e);
    put<kStream>(p + 128, b);
    put<kStream>(p + 192, f);
    put<kStream>(p + 256, c);
    put<kStream>(p + 320, g);
    put<kStream>(p + 384, d);
    put<kStream>(p + 448, h);
  }
  template <int kCount>
  static inline void load_units(const uint8_t* p, T (&v)[kCount]) {
    for (int m = 0; m < kCount; ++m) {
      const uint8_t* at = p + 16 * m;
      v[m] = _mm512_inserti64x4(
          _mm512_castsi256_si512(LanesAvx2::two(at, at + 16 * kCount)),
          LanesAvx2::two(at + 32 * kCount, at + 48 * kCount),
          1);
    }
  }
  template <bool kStream, int kCount>
  static inline void store_units(uint8_t* p, const T (&v)[kCount]) {
    __m256i half[kCount];
    for (int m = 0; m < kCount; ++m) half[m] = _mm512_castsi512_si256(v[m]);
    LanesAvx2::store_units<kStream, kCount>(p, half);
    for (int m = 0; m < kCount; ++m) {
      half[m] = _mm512_extracti64x4_epi64(v[m], 1);
    }
    LanesAvx2::store_units<kStream, kCount>(p + 32 * kCount, half);
  }
};

}  // namespace
}  // namespace mantissa::kernels
