#include <immintrin.h>

#include "kernels/cpu/attention_int8_loops.h"

namespace mantissa::kernels {
namespace {

// vpmaddwd on codes minus their zero points in 16 bits: exact.
struct Madd {
  using Code = int16_t;
  using Packed = int16_t;
  struct Floats {
    __m256 low;
    __m256 high;
  };
  struct Ints {
    __m256i low;
    __m256i high;
  };
  static constexpr int64_t kGroup = 2;
  static constexpr int64_t kRows = 4;
  static constexpr int64_t kVectors = 1;
  static constexpr int32_t kBase = 0;

  static inline __m256i load8(const void* p) {
    return _mm256_loadu_si256(static_cast<const __m256i*>(p));
  }
  static inline void store8(void* p, __m256i v) {
    _mm256_storeu_si256(static_cast<__m256i*>(p), v);
  }

  template <int kR, int kC>
  static void multiply(const AttentionSums<Code, Packed>& of) {
    static_assert(kC == 1);
    __m256i low[kR];
    __m256i high[kR];
    for (int r = 0; r < kR; ++r) {
      const __m256i start = _mm256_set1_epi32(of.row_start[r]);
      low[r] = _mm256_add_epi32(start, load8(of.column_start));
      high[r] = _mm256_add_epi32(start, load8(of.column_start + 8));
    }
    for (int64_t s = 0; s < of.steps; ++s) {
      const __m256i a = load8(of.packed + s * 32);
      const __m256i b = load8(of.packed + s * 32 + 16);
#pragma GCC unroll 4
      for (int r = 0; r < kR; ++r) {
        int32_t two;
        memcpy(&two, of.codes + r * of.code_stride + s * 2, sizeof(two));
        const __m256i row = _mm256_set1_epi32(two);
        low[r] = _mm256_add_epi32(low[r], _mm256_madd_epi16(row, a));
        high[r] = _mm256_add_epi32(high[r], _mm256_madd_epi16(row, b));
      }
    }
    for (int r = 0; r < kR; ++r) {
      store8(of.sums + r * of.sum_stride, low[r]);
      store8(of.sums + r * of.sum_stride + 8, high[r]);
    }
  }

  static inline void pack_key(const uint8_t* row,
                              int64_t head_dim,
                              int32_t zero,
                              int16_t* to,
                              int64_t stride) {
    int64_t d = 0;
    for (; d + kGroup <= head_dim; d += kGroup, to += stride) {
      to[0] = static_cast<int16_t>(row[d] - zero);
      to[1] = static_cast<int16_t>(row[d + 1] - zero);
    }
    if (d == head_dim) return;
    to[0] = static_cast<int16_t>(row[d] - zero);
    to[1] = 0;
  }

  static inline void pack_values(const uint8_t* const (&rows)[kGroup],
                                 int64_t d,
                                 int64_t count,
                                 int32_t zero,
                                 int16_t* to) {
    uint8_t some[kGroup][16] = {};
    const __m128i offset = _mm_set1_epi16(static_cast<int16_t>(zero));
    for (int64_t half = 0; half < 2; ++half, to += 16) {
      __m128i v[kGroup];
      for (int64_t g = 0; g < kGroup; ++g) {
        const uint8_t* from = rows[g] + d;
        if (count < kLanes) {
          memcpy(some[g], from, static_cast<size_t>(count));
          from = some[g];
        }
        v[g] = _mm_sub_epi16(
            _mm_cvtepu8_epi16(_mm_loadl_epi64(
                reinterpret_cast<const __m128i*>(from + half * 8))),
            offset);
      }
      auto* out = reinterpret_cast<__m128i*>(to);
      _mm_storeu_si128(out, _mm_unpacklo_epi16(v[0], v[1]));
      _mm_storeu_si128(out + 1, _mm_unpackhi_epi16(v[0], v[1]));
    }
  }

  // All bits of lanes below `count`.
  static inline Ints lanes(int64_t count) {
    const __m256i index = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    const int32_t n = static_cast<int32_t>(count);
    return {_mm256_cmpgt_epi32(_mm256_set1_epi32(n), index),
            _mm256_cmpgt_epi32(_mm256_set1_epi32(n - 8), index)};
  }

  static inline Floats set(float v) {
    return {_mm256_set1_ps(v), _mm256_set1_ps(v)};
  }
  static inline Floats load(const float* p) {
    return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)};
  }
  static inline Floats load_first(const float* p, int64_t count) {
    const Ints there = lanes(count);
    return {_mm256_maskload_ps(p, there.low),
            _mm256_maskload_ps(p + 8, there.high)};
  }
  static inline void store(float* p, Floats v) {
    _mm256_storeu_ps(p, v.low);
    _mm256_storeu_ps(p + 8, v.high);
  }
  static inline Floats first(Floats v, int64_t count) {
    const Ints there = lanes(count);
    return {_mm256_and_ps(v.low, _mm256_castsi256_ps(there.low)),
            _mm256_and_ps(v.high, _mm256_castsi256_ps(there.high))};
  }
  static inline Floats add(Floats a, Floats b) {
    return {_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high)};
  }
  static inline Floats sub(Floats a, Floats b) {
    return {_mm256_sub_ps(a.low, b.low), _mm256_sub_ps(a.high, b.high)};
  }
  static inline Floats mul(Floats a, Floats b) {
    return {_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high)};
  }
  static inline Floats fma(Floats a, Floats b, Floats c) {
    return {_mm256_fmadd_ps(a.low, b.low, c.low),
            _mm256_fmadd_ps(a.high, b.high, c.high)};
  }
  static inline Floats max(Floats a, Floats b) {
    return {_mm256_max_ps(a.low, b.low), _mm256_max_ps(a.high, b.high)};
  }
  static inline Floats round(Floats v) {
    constexpr int kHow = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
    return {_mm256_round_ps(v.low, kHow), _mm256_round_ps(v.high, kHow)};
  }
  static inline __m256 times_power(__m256 p, __m256 n, __m256 x) {
    const __m256i bits =
        _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
    const __m256 power = _mm256_castsi256_ps(_mm256_slli_epi32(bits, 23));
    const __m256 there =
        _mm256_cmp_ps(x, _mm256_set1_ps(kExp2Least), _CMP_NLT_UQ);
    return _mm256_and_ps(_mm256_mul_ps(p, power), there);
  }
  static inline Floats times_power(Floats p, Floats n, Floats x) {
    return {times_power(p.low, n.low, x.low),
            times_power(p.high, n.high, x.high)};
  }
  static inline float sum(Floats v) {
    const __m256 half = _mm256_add_ps(v.low, v.high);
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(half),
                             _mm256_extractf128_ps(half, 1));
    four = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(four, _mm_movehdup_ps(four)));
  }
  static inline float most(Floats v) {
    float all[16];
    store(all, v);
    float out = all[0];
    for (const float one : all) out = one > out ? one : out;
    return out;
  }

  static inline Ints set_int(int32_t v) {
    return {_mm256_set1_epi32(v), _mm256_set1_epi32(v)};
  }
  static inline Ints load_int(const int32_t* p) {
    return {load8(p), load8(p + 8)};
  }
  static inline Ints sub_int(Ints a, Ints b) {
    return {_mm256_sub_epi32(a.low, b.low), _mm256_sub_epi32(a.high, b.high)};
  }
  static inline Ints max_int(Ints a, Ints b) {
    return {_mm256_max_epi32(a.low, b.low), _mm256_max_epi32(a.high, b.high)};
  }
  static inline int32_t most_int(Ints v) {
    int32_t all[16];
    store8(all, v.low);
    store8(all + 8, v.high);
    int32_t out = all[0];
    for (const int32_t one : all) out = one > out ? one : out;
    return out;
  }
  static inline Floats to_floats(Ints v) {
    return {_mm256_cvtepi32_ps(v.low), _mm256_cvtepi32_ps(v.high)};
  }

  // Of products only, which have no use for it: codes come without zero points.
  struct CodeSum {};
  static inline CodeSum no_codes() { return {}; }
  static inline int32_t sum_codes(CodeSum) { return 0; }
  // min(rne(v) + zero, 255) - zero for v >= 0, of `count` lanes unless all;
  // others are 0.
  template <bool kAll>
  static inline void quantize(
      Floats v, Ints zero, int64_t count, int16_t* to, CodeSum&) {
    const __m256 most = _mm256_set1_ps(255.0f);
    const auto half = [&](__m256 x, __m256i z) {
      return _mm256_min_epi32(_mm256_cvtps_epi32(_mm256_min_ps(x, most)),
                              _mm256_sub_epi32(_mm256_set1_epi32(255), z));
    };
    Ints codes = {half(v.low, zero.low), half(v.high, zero.high)};
    if constexpr (!kAll) {
      const Ints there = lanes(count);
      codes = {_mm256_and_si256(codes.low, there.low),
               _mm256_and_si256(codes.high, there.high)};
    }
    store8(to,
           _mm256_permute4x64_epi64(
               _mm256_packs_epi32(codes.low, codes.high), 0xd8));
  }

  // clamp(rne(v) + zero, 0, 255), below 0 and above 255 when it is stored.
  static inline Ints requantize(Floats v, Ints zero) {
    const __m256 most = _mm256_set1_ps(255.0f);
    const __m256 least = _mm256_set1_ps(-255.0f);
    const auto half = [&](__m256 x, __m256i z) {
      return _mm256_add_epi32(
          _mm256_cvtps_epi32(_mm256_min_ps(_mm256_max_ps(x, least), most)), z);
    };
    return {half(v.low, zero.low), half(v.high, zero.high)};
  }
  static inline void store_bytes(uint8_t* p, Ints v, int64_t count) {
    const __m256i words =
        _mm256_permute4x64_epi64(_mm256_packs_epi32(v.low, v.high), 0xd8);
    const __m128i bytes = _mm_packus_epi16(_mm256_castsi256_si128(words),
                                           _mm256_extracti128_si256(words, 1));
    if (count == kLanes) {
      _mm_storeu_si128(reinterpret_cast<__m128i*>(p), bytes);
      return;
    }
    uint8_t all[16];
    _mm_storeu_si128(reinterpret_cast<__m128i*>(all), bytes);
    memcpy(p, all, static_cast<size_t>(count));
  }
};

}  // namespace

void prepare_attention_int8_avx2(const AttentionInt8Args& args,
                                 const AttentionHead& head,
                                 void* scratch) {
  AttentionLoops<Madd>::prepare(args, head, scratch);
}

void attend_int8_avx2(const AttentionInt8Args& args,
                      const AttentionHead& head,
                      int64_t begin,
                      int64_t end,
                      void* scratch) {
  AttentionLoops<Madd>::attend(args, head, begin, end, scratch);
}

}  // namespace mantissa::kernels
