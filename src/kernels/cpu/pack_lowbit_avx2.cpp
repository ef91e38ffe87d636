#include "kernels/cpu/pack_lowbit_loops.h"

namespace mantissa::kernels {
namespace {

// 8 of the 16 columns of a tile.
struct Columns8 {
  using T = __m256i;
  static constexpr int kColumns = 8;

  static inline T zero() { return _mm256_setzero_si256(); }
  static inline T broadcast(int v) {
    return _mm256_set1_epi8(static_cast<char>(v));
  }
  static inline T load(const uint8_t* p) {
    return _mm256_loadu_si256(reinterpret_cast<const T*>(p));
  }
  static inline void store(uint8_t* p, T v) {
    _mm256_storeu_si256(reinterpret_cast<T*>(p), v);
  }
  // No whole line: never past the caches.
  template <bool kStream>
  static inline void put(uint8_t* p, T v) {
    static_assert(!kStream);
    store(p, v);
  }
  static inline T add8(T a, T b) { return _mm256_add_epi8(a, b); }
  static inline T sub8(T a, T b) { return _mm256_sub_epi8(a, b); }
  static inline T add32(T a, T b) { return _mm256_add_epi32(a, b); }
  static inline T bit_and(T a, T b) { return _mm256_and_si256(a, b); }
  // (a & b) | c
  static inline T and_or(T a, T b, T c) {
    return _mm256_or_si256(_mm256_and_si256(a, b), c);
  }
  template <int kLeft>
  static inline T shift(T v) {
    if constexpr (kLeft == 0) {
      return v;
    } else if constexpr (kLeft > 0) {
      return _mm256_slli_epi16(v, kLeft);
    } else {
      return _mm256_srli_epi16(v, -kLeft);
    }
  }

  // The units of 8 rows.
  template <int kChunks>
  static inline void load_units(const int8_t* p,
                                int64_t stride,
                                T (&units)[kChunks][8]) {
    for (int c = 0; c < kChunks; ++c) {
      for (int i = 0; i < 8; ++i) {
        units[c][i] = load(reinterpret_cast<const uint8_t*>(p + i * stride +
                                                            c * kLowbitChunk));
      }
      transpose(units[c]);
    }
  }
  template <int kChunks>
  static inline void store_units(T (&units)[kChunks][8],
                                 int8_t* p,
                                 int64_t stride) {
    for (int c = 0; c < kChunks; ++c) {
      transpose(units[c]);
      for (int i = 0; i < 8; ++i) {
        store(reinterpret_cast<uint8_t*>(p + i * stride + c * kLowbitChunk),
              units[c][i]);
      }
    }
  }

  // Sums of the four bytes of each word, over the units.
  static inline T sums_of(const T (&units)[8]) {
    T pairs = zero();
    for (const T unit : units) {
      pairs = _mm256_add_epi16(pairs, _mm256_maddubs_epi16(unit, broadcast(1)));
    }
    return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
  }

 private:
  // 8 rows of 8 words of 32 bits: rows for columns.
  static inline void transpose(T (&v)[8]) {
    T a[8];
    for (int i = 0; i < 8; i += 2) {
      a[i] = _mm256_unpacklo_epi32(v[i], v[i + 1]);
      a[i + 1] = _mm256_unpackhi_epi32(v[i], v[i + 1]);
    }
    T b[8];
    for (int i = 0; i < 8; i += 4) {
      b[i] = _mm256_unpacklo_epi64(a[i], a[i + 2]);
      b[i + 1] = _mm256_unpackhi_epi64(a[i], a[i + 2]);
      b[i + 2] = _mm256_unpacklo_epi64(a[i + 1], a[i + 3]);
      b[i + 3] = _mm256_unpackhi_epi64(a[i + 1], a[i + 3]);
    }
    for (int i = 0; i < 4; ++i) {
      v[i] = _mm256_permute2x128_si256(b[i], b[i + 4], 0x20);
      v[i + 4] = _mm256_permute2x128_si256(b[i], b[i + 4], 0x31);
    }
  }
};

}  // namespace

void run_pack_lowbit_avx2(const PackLowbitArgs& args,
                          int64_t begin,
                          int64_t end) {
  pack_lowbit_loop<Columns8>(args, begin, end);
}

void run_unpack_lowbit_avx2(const UnpackLowbitArgs& args,
                            int64_t begin,
                            int64_t end) {
  unpack_lowbit_loop<Columns8>(args, begin, end);
}

}  // namespace mantissa::kernels
