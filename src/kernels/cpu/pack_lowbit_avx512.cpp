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

  // Rows i and i + 8 side by side.
  static inline void load_rows(const int8_t* p, int64_t stride, T (&rows)[8]) {
    for (int i = 0; i < 8; ++i) {
      rows[i] = _mm512_inserti64x4(_mm512_castsi256_si512(half(p + i * stride)),
                                   half(p + (i + 8) * stride),
                                   1);
    }
  }
  static inline void store_rows(const T (&rows)[8], int8_t* p, int64_t stride) {
    for (int i = 0; i < 8; ++i) {
      put(p + i * stride, _mm512_castsi512_si256(rows[i]));
      put(p + (i + 8) * stride, _mm512_extracti64x4_epi64(rows[i], 1));
    }
  }

  // Each half, 8 rows of 8 words of 32 bits: rows for columns.
  static inline void transpose(T (&v)[8]) {
    T a[8];
    for (int i = 0; i < 8; i += 2) {
      a[i] = _mm512_unpacklo_epi32(v[i], v[i + 1]);
      a[i + 1] = _mm512_unpackhi_epi32(v[i], v[i + 1]);
    }
    T b[8];
    for (int i = 0; i < 8; i += 4) {
      b[i] = _mm512_unpacklo_epi64(a[i], a[i + 2]);
      b[i + 1] = _mm512_unpackhi_epi64(a[i], a[i + 2]);
      b[i + 2] = _mm512_unpacklo_epi64(a[i + 1], a[i + 3]);
      b[i + 3] = _mm512_unpackhi_epi64(a[i + 1], a[i + 3]);
    }
    const T even = _mm512_setr_epi64(0, 1, 8, 9, 4, 5, 12, 13);
    const T odd = _mm512_setr_epi64(2, 3, 10, 11, 6, 7, 14, 15);
    for (int i = 0; i < 4; ++i) {
      v[i] = _mm512_permutex2var_epi64(b[i], even, b[i + 4]);
      v[i + 4] = _mm512_permutex2var_epi64(b[i], odd, b[i + 4]);
    }
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
  static inline __m256i half(const int8_t* p) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  }
  static inline void put(int8_t* p, __m256i v) {
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
