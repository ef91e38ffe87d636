#include <immintrin.h>

#include "kernels/cpu/attention_int8_loops.h"

namespace mantissa::kernels {
namespace {

// vpdpbusd: queries and probabilities are its operand without a sign, keys and
// values minus 128 the other one. Sums wrap around 2^32 alike in all terms, and
// what they add up to fits.
struct Vnni {
  using Code = uint8_t;
  using Packed = int8_t;
  using Floats = __m512;
  using Ints = __m512i;
  static constexpr int64_t kGroup = 4;
  static constexpr int64_t kRows = 6;
  static constexpr int64_t kVectors = 4;
  static constexpr int32_t kBase = 128;

  // Keeps GCC from copying sums between registers.
  static inline void pin(__m512i& sum) { __asm__("" : "+v"(sum)); }

  template <int kR, int kC>
  static void multiply(const AttentionSums<Code, Packed>& of) {
    __m512i sum[kR][kC];
#pragma GCC unroll 6
    for (int r = 0; r < kR; ++r) {
      const __m512i start = _mm512_set1_epi32(of.row_start[r]);
#pragma GCC unroll 4
      for (int c = 0; c < kC; ++c) {
        sum[r][c] = _mm512_add_epi32(
            start, _mm512_loadu_si512(of.column_start + c * kLanes));
      }
    }
    const uint8_t* codes = of.codes;
    const int8_t* packed = of.packed;
    const int64_t stride = of.code_stride;
    for (int64_t s = 0; s < of.steps; ++s, codes += 4, packed += kC * 64) {
      __m512i columns[kC];
#pragma GCC unroll 4
      for (int c = 0; c < kC; ++c) {
        columns[c] = _mm512_loadu_si512(packed + c * 64);
      }
#pragma GCC unroll 6
      for (int r = 0; r < kR; ++r) {
        int32_t four;
        memcpy(&four, codes + r * stride, sizeof(four));
        const __m512i row = _mm512_set1_epi32(four);
#pragma GCC unroll 4
        for (int c = 0; c < kC; ++c) {
          sum[r][c] = _mm512_dpbusd_epi32(sum[r][c], row, columns[c]);
          pin(sum[r][c]);
        }
      }
    }
#pragma GCC unroll 6
    for (int r = 0; r < kR; ++r) {
#pragma GCC unroll 4
      for (int c = 0; c < kC; ++c) {
        _mm512_storeu_si512(of.sums + r * of.sum_stride + c * kLanes,
                            sum[r][c]);
      }
    }
  }

  // Four codes of a row each `stride` bytes.
  static inline void pack_key(const uint8_t* row,
                              int64_t head_dim,
                              int32_t,
                              int8_t* to,
                              int64_t stride) {
    uint32_t four = 0;
    int64_t d = 0;
    for (; d + kGroup <= head_dim; d += kGroup, to += stride) {
      memcpy(&four, row + d, sizeof(four));
      four ^= 0x80808080u;
      memcpy(to, &four, sizeof(four));
    }
    if (d == head_dim) return;
    four = 0;  // queries have 0 there
    memcpy(&four, row + d, static_cast<size_t>(head_dim - d));
    four ^= 0x80808080u;
    memcpy(to, &four, sizeof(four));
  }

  // Codes d .. of four rows, one of each beside the others.
  static inline void pack_values(const uint8_t* const (&rows)[kGroup],
                                 int64_t d,
                                 int64_t count,
                                 int32_t,
                                 int8_t* to) {
    const auto there = static_cast<__mmask16>((1u << count) - 1);
    const __m128i sign = _mm_set1_epi8(static_cast<char>(0x80));
    __m128i v[kGroup];
    for (int64_t g = 0; g < kGroup; ++g) {
      v[g] = _mm_xor_si128(_mm_maskz_loadu_epi8(there, rows[g] + d), sign);
    }
    const __m128i low_a = _mm_unpacklo_epi8(v[0], v[1]);
    const __m128i low_b = _mm_unpacklo_epi8(v[2], v[3]);
    const __m128i high_a = _mm_unpackhi_epi8(v[0], v[1]);
    const __m128i high_b = _mm_unpackhi_epi8(v[2], v[3]);
    auto* out = reinterpret_cast<__m128i*>(to);
    _mm_storeu_si128(out, _mm_unpacklo_epi16(low_a, low_b));
    _mm_storeu_si128(out + 1, _mm_unpackhi_epi16(low_a, low_b));
    _mm_storeu_si128(out + 2, _mm_unpacklo_epi16(high_a, high_b));
    _mm_storeu_si128(out + 3, _mm_unpackhi_epi16(high_a, high_b));
  }

  static inline __mmask16 lanes(int64_t count) {
    return static_cast<__mmask16>((1u << count) - 1);
  }

  static inline Floats set(float v) { return _mm512_set1_ps(v); }
  static inline Floats load(const float* p) { return _mm512_loadu_ps(p); }
  static inline Floats load_first(const float* p, int64_t count) {
    return _mm512_maskz_loadu_ps(lanes(count), p);
  }
  static inline void store(float* p, Floats v) { _mm512_storeu_ps(p, v); }
  static inline Floats first(Floats v, int64_t count) {
    return _mm512_maskz_mov_ps(lanes(count), v);
  }
  static inline Floats add(Floats a, Floats b) { return _mm512_add_ps(a, b); }
  static inline Floats sub(Floats a, Floats b) { return _mm512_sub_ps(a, b); }
  static inline Floats mul(Floats a, Floats b) { return _mm512_mul_ps(a, b); }
  static inline Floats fma(Floats a, Floats b, Floats c) {
    return _mm512_fmadd_ps(a, b, c);
  }
  static inline Floats max(Floats a, Floats b) { return _mm512_max_ps(a, b); }
  static inline Floats round(Floats v) {
    return _mm512_roundscale_ps(v, _MM_FROUND_TO_NEAREST_INT);
  }
  static inline Floats times_power(Floats p, Floats n, Floats x) {
    const __mmask16 there =
        _mm512_cmp_ps_mask(x, _mm512_set1_ps(kExp2Least), _CMP_NLT_UQ);
    return _mm512_maskz_scalef_ps(there, p, n);
  }
  static inline float sum(Floats v) {
    const __m256 half =
        _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(half),
                             _mm256_extractf128_ps(half, 1));
    four = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(four, _mm_movehdup_ps(four)));
  }
  static inline float most(Floats v) { return _mm512_reduce_max_ps(v); }

  static inline Ints set_int(int32_t v) { return _mm512_set1_epi32(v); }
  static inline Ints load_int(const int32_t* p) {
    return _mm512_loadu_si512(p);
  }
  static inline Ints sub_int(Ints a, Ints b) { return _mm512_sub_epi32(a, b); }
  static inline Ints max_int(Ints a, Ints b) { return _mm512_max_epi32(a, b); }
  static inline int32_t most_int(Ints v) { return _mm512_reduce_max_epi32(v); }
  static inline Floats to_floats(Ints v) { return _mm512_cvtepi32_ps(v); }

  using CodeSum = __m128i;
  static inline CodeSum no_codes() { return _mm_setzero_si128(); }
  static inline int32_t sum_codes(CodeSum v) {
    return static_cast<int32_t>(_mm_cvtsi128_si64(v) +
                                _mm_extract_epi64(v, 1));
  }
  // min(rne(v) + zero, 255) for v >= 0, of `count` lanes unless all; others are
  // 0. What no int32 holds, and NaN, is 2^31 without a sign.
  template <bool kAll>
  static inline void quantize(
      Floats v, Ints zero, int64_t count, uint8_t* to, CodeSum& total) {
    __m128i codes = _mm512_cvtusepi32_epi8(
        _mm512_add_epi32(_mm512_cvtps_epi32(v), zero));
    if constexpr (!kAll) codes = _mm_maskz_mov_epi8(lanes(count), codes);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), codes);
    total = _mm_add_epi64(total, _mm_sad_epu8(codes, _mm_setzero_si128()));
  }

  // clamp(rne(v) + zero, 0, 255).
  static inline Ints requantize(Floats v, Ints zero) {
    const __m512 most = _mm512_set1_ps(255.0f);
    const __m512 least = _mm512_set1_ps(-255.0f);
    const __m512i code = _mm512_add_epi32(
        _mm512_cvtps_epi32(_mm512_min_ps(_mm512_max_ps(v, least), most)), zero);
    return _mm512_max_epi32(_mm512_min_epi32(code, _mm512_set1_epi32(255)),
                            _mm512_setzero_si512());
  }
  static inline void store_bytes(uint8_t* p, Ints v, int64_t count) {
    _mm_mask_storeu_epi8(p, lanes(count), _mm512_cvtepi32_epi8(v));
  }
};

}  // namespace

void prepare_attention_int8_avx512vnni(const AttentionInt8Args& args,
                                       const AttentionHead& head,
                                       void* scratch) {
  AttentionLoops<Vnni>::prepare(args, head, scratch);
}

void attend_int8_avx512vnni(const AttentionInt8Args& args,
                            const AttentionHead& head,
                            int64_t begin,
                            int64_t end,
                            void* scratch) {
  AttentionLoops<Vnni>::attend(args, head, begin, end, scratch);
}

}  // namespace mantissa::kernels
