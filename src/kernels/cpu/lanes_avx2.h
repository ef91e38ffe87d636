#pragma once

// Only C headers and <immintrin.h> here: AVX2 and AVX-512 files include this.
#include <immintrin.h>
#include <stdint.h>

namespace mantissa::kernels {
namespace {

/// Which byte of a lane goes where; -1 gives 0.
struct ByteMap {
  alignas(16) int8_t byte[16];
};

template <bool kStream>
[[gnu::always_inline]] inline void store16(uint8_t* to, __m128i v) {
  if constexpr (kStream) {
    _mm_stream_si128(reinterpret_cast<__m128i*>(to), v);
  } else {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), v);
  }
}

// Operations of the packing loops on vectors of kLanes 16-byte lanes. Each lane
// holds its own 128 codes (eight vectors of 16) or their bytes, so that all but
// loads and stores stay inside lanes.

/// One lane: what is left over from wider vectors.
struct LanesSse {
  using T = __m128i;
  static constexpr int kLanes = 1;

  static inline T zero() { return _mm_setzero_si128(); }
  static inline T broadcast(int v) {
    return _mm_set1_epi8(static_cast<char>(v));
  }
  static inline T table(const void* p) { return load(p); }
  static inline T load(const void* p) {
    return _mm_loadu_si128(static_cast<const __m128i*>(p));
  }
  static inline void store(void* p, T v) {
    _mm_storeu_si128(static_cast<__m128i*>(p), v);
  }

  static inline T bit_and(T a, T b) { return _mm_and_si128(a, b); }
  static inline T bit_or(T a, T b) { return _mm_or_si128(a, b); }
  static inline T bit_xor(T a, T b) { return _mm_xor_si128(a, b); }
  static inline T add8(T a, T b) { return _mm_add_epi8(a, b); }
  static inline T sub8(T a, T b) { return _mm_sub_epi8(a, b); }
  static inline T add32(T a, T b) { return _mm_add_epi32(a, b); }
  // 16-bit elements to the left (right if negative).
  template <int kLeft>
  static inline T shift(T v) {
    if constexpr (kLeft >= 0) {
      return _mm_slli_epi16(v, kLeft);
    } else {
      return _mm_srli_epi16(v, -kLeft);
    }
  }
  // Sums of 8 bytes each.
  static inline T sum8(T v) { return _mm_sad_epu8(v, zero()); }
  // The even 32-bit elements of a, then those of b.
  static inline T even32(T a, T b) {
    return _mm_castps_si128(
        _mm_shuffle_ps(_mm_castsi128_ps(a), _mm_castsi128_ps(b), 0x88));
  }
  // All lanes added, as 32-bit elements.
  static inline __m128i fold(T v) { return v; }
  // All lanes or-ed together.
  static inline __m128i merged(T v) { return v; }
  static inline bool any(T v) { return _mm_testz_si128(v, v) == 0; }

  static inline T low8(T a, T b) { return _mm_unpacklo_epi8(a, b); }
  static inline T high8(T a, T b) { return _mm_unpackhi_epi8(a, b); }
  static inline T low64(T a, T b) { return _mm_unpacklo_epi64(a, b); }
  static inline T high64(T a, T b) { return _mm_unpackhi_epi64(a, b); }
  // The low half of a and the high half of b.
  static inline T low_high(T a, T b) { return _mm_blend_epi16(a, b, 0xf0); }
  // The high half of a and the low half of b.
  static inline T high_low(T a, T b) { return _mm_alignr_epi8(b, a, 8); }
  static inline T shuffle(T v, T map) { return _mm_shuffle_epi8(v, map); }

  // Vector j of every lane: 16 bytes at p + 16 j of each 128.
  static inline void load_rows(const int8_t* p, T (&rows)[8]) {
    for (int j = 0; j < 8; ++j) rows[j] = load(p + 16 * j);
  }
  template <bool kStream>
  static inline void store_rows(int8_t* p, const T (&rows)[8]) {
    for (int j = 0; j < 8; ++j) {
      store16<kStream>(reinterpret_cast<uint8_t*>(p) + 16 * j, rows[j]);
    }
  }
  // The same for kCount vectors, so 16 * kCount bytes a lane.
  template <int kCount>
  static inline void load_units(const uint8_t* p, T (&v)[kCount]) {
    for (int m = 0; m < kCount; ++m) v[m] = load(p + 16 * m);
  }
  template <bool kStream, int kCount>
  static inline void store_units(uint8_t* p, const T (&v)[kCount]) {
    for (int m = 0; m < kCount; ++m) store16<kStream>(p + 16 * m, v[m]);
  }
};

/// Two lanes.
struct LanesAvx2 {
  using T = __m256i;
  using Half = LanesSse;
  static constexpr int kLanes = 2;

  static inline T zero() { return _mm256_setzero_si256(); }
  static inline T broadcast(int v) {
    return _mm256_set1_epi8(static_cast<char>(v));
  }
  static inline T table(const void* p) {
    return _mm256_broadcastsi128_si256(LanesSse::load(p));
  }
  static inline T load(const void* p) {
    return _mm256_loadu_si256(static_cast<const __m256i*>(p));
  }
  static inline void store(void* p, T v) {
    _mm256_storeu_si256(static_cast<__m256i*>(p), v);
  }

  static inline T bit_and(T a, T b) { return _mm256_and_si256(a, b); }
  static inline T bit_or(T a, T b) { return _mm256_or_si256(a, b); }
  static inline T bit_xor(T a, T b) { return _mm256_xor_si256(a, b); }
  static inline T add8(T a, T b) { return _mm256_add_epi8(a, b); }
  static inline T sub8(T a, T b) { return _mm256_sub_epi8(a, b); }
  static inline T add32(T a, T b) { return _mm256_add_epi32(a, b); }
  template <int kLeft>
  static inline T shift(T v) {
    if constexpr (kLeft >= 0) {
      return _mm256_slli_epi16(v, kLeft);
    } else {
      return _mm256_srli_epi16(v, -kLeft);
    }
  }
  static inline T sum8(T v) { return _mm256_sad_epu8(v, zero()); }
  static inline T even32(T a, T b) {
    return _mm256_castps_si256(_mm256_shuffle_ps(
        _mm256_castsi256_ps(a), _mm256_castsi256_ps(b), 0x88));
  }
  static inline __m128i fold(T v) {
    return _mm_add_epi32(_mm256_castsi256_si128(v),
                         _mm256_extracti128_si256(v, 1));
  }
  static inline __m128i merged(T v) {
    return _mm_or_si128(_mm256_castsi256_si128(v),
                        _mm256_extracti128_si256(v, 1));
  }
  static inline bool any(T v) { return _mm256_testz_si256(v, v) == 0; }

  static inline T low8(T a, T b) { return _mm256_unpacklo_epi8(a, b); }
  static inline T high8(T a, T b) { return _mm256_unpackhi_epi8(a, b); }
  static inline T low64(T a, T b) { return _mm256_unpacklo_epi64(a, b); }
  static inline T high64(T a, T b) { return _mm256_unpackhi_epi64(a, b); }
  static inline T low_high(T a, T b) { return _mm256_blend_epi32(a, b, 0xcc); }
  static inline T high_low(T a, T b) { return _mm256_alignr_epi8(b, a, 8); }
  static inline T shuffle(T v, T map) { return _mm256_shuffle_epi8(v, map); }

  static inline T two(const void* low, const void* high) {
    return _mm256_inserti128_si256(
        _mm256_castsi128_si256(LanesSse::load(low)), LanesSse::load(high), 1);
  }
  static inline void load_rows(const int8_t* p, T (&rows)[8]) {
    for (int j = 0; j < 8; ++j) rows[j] = two(p + 16 * j, p + 128 + 16 * j);
  }
  template <bool kStream>
  static inline void put(int8_t* p, T v) {
    if constexpr (kStream) {
      _mm256_stream_si256(reinterpret_cast<__m256i*>(p), v);
    } else {
      store(p, v);
    }
  }
  template <bool kStream>
  static inline void store_rows(int8_t* p, const T (&rows)[8]) {
    for (int j = 0; j < 8; j += 2) {
      put<kStream>(p + 16 * j,
                   _mm256_permute2x128_si256(rows[j], rows[j + 1], 0x20));
    }
    for (int j = 0; j < 8; j += 2) {
      put<kStream>(p + 128 + 16 * j,
                   _mm256_permute2x128_si256(rows[j], rows[j + 1], 0x31));
    }
  }
  template <int kCount>
  static inline void load_units(const uint8_t* p, T (&v)[kCount]) {
    for (int m = 0; m < kCount; ++m) {
      v[m] = two(p + 16 * m, p + 16 * (kCount + m));
    }
  }
  template <bool kStream, int kCount>
  static inline void store_units(uint8_t* p, const T (&v)[kCount]) {
    for (int m = 0; m < kCount; ++m) {
      store16<kStream>(p + 16 * m, _mm256_castsi256_si128(v[m]));
    }
    for (int m = 0; m < kCount; ++m) {
      store16<kStream>(p + 16 * (kCount + m),
                       _mm256_extracti128_si256(v[m], 1));
    }
  }
};

}  // namespace
}  // namespace mantissa::kernels
