#include "kernels/cpu/pack_lowbit_loops.h"

namespace mantissa::kernels {
namespace {

// All 16 columns of a tile.
struct Columns16 {
  using T = __m512i;
  static constexpr int kColumns = 16;

  static inline T zero() { return _mm512_setzero_si512(); }
  static inline T broadcast(int v) {
    return _mm512_set1_epi8(static_cast<char>(v));
  }
  static inline T load(const uint8_t* p) { return _mm512_loadu_si512(p); }
  static inline void store(uint8_t* p, T v) { _mm512_storeu_si512(p, v); }
  template <bool kStream>
  static inline void put(uint8_t* p, T v) {
    if constexpr (kStream) {
      _mm512_stream_si512(reinterpret_cast<T*>(p), v);
    } else {
      store(p, v);
    }
  }
  static inline T add8(T a, T b) { return _mm512_add_epi8(a, b); }
  static inline T sub8(T a, T b) { return _mm512_sub_epi8(a, b); }
  static inline T add32(T a, T b) { return _mm512_add_epi32(a, b); }
  static inline T bit_and(T a, T b) { return _mm512_and_si512(a, b); }
  // (a & b) | c
  static inline T and_or(T a, T b, T c) {
    return _mm512_ternarylogic_epi32(a, b, c, 0xea);
  }
  template <int kLeft>
  static inline T shift(T v) {
    if constexpr (kLeft == 0) {
      return v;
    } else if constexpr (kLeft > 0) {
      return _mm512_slli_epi16(v, kLeft);
    } else {
      return _mm512_srli_epi16(v, -kLeft);
    }
  }

  // The units of one chunk of 16 rows: rows i and i + 8 side by side, each half
  // 8 rows of 8 words of 32 bits, rows for columns.
  static inline void load_units(const int8_t* p,
                                int64_t stride,
                                T (&units)[1][8]) {
    for (int i = 0; i < 8; ++i) {
      units[0][i] =
          _mm512_inserti64x4(_mm512_castsi256_si512(half(p + i * stride)),
                             half(p + (i + 8) * stride),
                             1);
    }
    transpose(units[0]);
  }
  static inline void store_units(T (&units)[1][8], int8_t* p, int64_t stride) {
    transpose(units[0]);
    for (int i = 0; i < 8; ++i) {
      put_half(p + i * stride, _mm512_castsi512_si256(units[0][i]));
      put_half(p + (i + 8) * stride, _mm512_extracti64x4_epi64(units[0][i], 1));
    }
  }

  // Of two chunks: whole lines, 16 rows of 16 words.
  static inline void load_units(const int8_t* p,
                                int64_t stride,
                                T (&units)[2][8]) {
    T v[16];
    for (int i = 0; i < 16; ++i) v[i] = _mm512_loadu_si512(p + i * stride);
    transpose(v);
    for (int i = 0; i < 16; ++i) units[i / 8][i % 8] = v[i];
  }
  static inline void store_units(T (&units)[2][8], int8_t* p, int64_t stride) {
    T v[16];
    for (int i = 0; i < 16; ++i) v[i] = units[i / 8][i % 8];
    transpose(v);
    for (int i = 0; i < 16; ++i) _mm512_storeu_si512(p + i * stride, v[i]);
  }

  // Sums of the four bytes of each word, over the units.
  static inline T sums_of(const T (&units)[8]) {
    T pairs = zero();
    for (const T unit : units) {
      pairs = _mm512_add_epi16(pairs, _mm512_maddubs_epi16(unit, broadcast(1)));
    }
    return _mm512_madd_epi16(pairs, _mm512_set1_epi16(1));
  }

 private:
  // In each lane, four rows of four words: rows for columns.
  static inline void transpose_lanes(T& r0, T& r1, T& r2, T& r3) {
    const T a = _mm512_unpacklo_epi32(r0, r1);
    const T b = _mm512_unpackhi_epi32(r0, r1);
    const T c = _mm512_unpacklo_epi32(r2, r3);
    const T d = _mm512_unpackhi_epi32(r2, r3);
    r0 = _mm512_unpacklo_epi64(a, c);
    r1 = _mm512_unpackhi_epi64(a, c);
    r2 = _mm512_unpacklo_epi64(b, d);
    r3 = _mm512_unpackhi_epi64(b, d);
  }
  static inline void transpose(T (&v)[8]) {
    transpose_lanes(v[0], v[1], v[2], v[3]);
    transpose_lanes(v[4], v[5], v[6], v[7]);
    const T even = _mm512_setr_epi64(0, 1, 8, 9, 4, 5, 12, 13);
    const T odd = _mm512_setr_epi64(2, 3, 10, 11, 6, 7, 14, 15);
    for (int i = 0; i < 4; ++i) {
      const T low = v[i];
      v[i] = _mm512_permutex2var_epi64(low, even, v[i + 4]);
      v[i + 4] = _mm512_permutex2var_epi64(low, odd, v[i + 4]);
    }
  }
  // GCC 12 warns about the form without a mask (GCC bug 105593).
  template <int kWhich>
  static inline T lanes(T a, T b) {
    return _mm512_maskz_shuffle_i32x4(0xffff, a, b, kWhich);
  }
  static inline void transpose(T (&v)[16]) {
    for (int i = 0; i < 16; i += 4) {
      transpose_lanes(v[i], v[i + 1], v[i + 2], v[i + 3]);
    }
    for (int i = 0; i < 4; ++i) {
      const T ab = lanes<0x44>(v[i], v[i + 4]);
      const T cd = lanes<0x44>(v[i + 8], v[i + 12]);
      const T ab_high = lanes<0xee>(v[i], v[i + 4]);
      const T cd_high = lanes<0xee>(v[i + 8], v[i + 12]);
      v[i] = lanes<0x88>(ab, cd);
      v[i + 4] = lanes<0xdd>(ab, cd);
      v[i + 8] = lanes<0x88>(ab_high, cd_high);
      v[i + 12] = lanes<0xdd>(ab_high, cd_high);
    }
  }
  static inline __m256i half(const int8_t* p) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  }
  static inline void put_half(int8_t* p, __m256i v) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), v);
  }
};

}  // namespace

void run_pack_lowbit_avx512(const PackLowbitArgs& args,
                            int64_t begin,
                            int64_t end) {
  pack_lowbit_loop<Columns16>(args, begin, end);
}

void run_unpack_lowbit_avx512(const UnpackLowbitArgs& args,
                              int64_t begin,
                              int64_t end) {
  unpack_lowbit_loop<Columns16>(args, begin, end);
}

}  // namespace mantissa::kernels
