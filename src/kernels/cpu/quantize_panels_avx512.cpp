#include <immintrin.h>

#include "kernels/cpu/quantize_panels_rows.h"

namespace mantissa::kernels {
namespace {

// A panel of 8 rows at a time: their largest magnitudes, scales and sums are
// lanes of one vector, and nothing is added up across a vector.

constexpr int kRows = 8;

struct Panel {
  const float* x[kRows];
  int8_t* codes;
  int32_t* sums;
  int32_t* half_sums;
  float* scales;
};

/// Values [0, 16) and [16, 32) of a chunk that exist.
struct Halves {
  __mmask16 low;
  __mmask16 high;
};

inline Halves halves_of(int64_t count) {
  const uint32_t mask = count >= kLowbitChunk ? 0xffffffffu : (1u << count) - 1;
  return {static_cast<__mmask16>(mask), static_cast<__mmask16>(mask >> 16)};
}

inline __m512i magnitude(__mmask16 there, const float* x) {
  return _mm512_and_si512(_mm512_castps_si512(_mm512_maskz_loadu_ps(there, x)),
                          _mm512_set1_epi32(0x7fffffff));
}

inline __m512i larger(__m512i a, __m512i b) { return _mm512_max_epi32(a, b); }

// The largest lane of each of 8 vectors, in their order.
inline __m256i largest(const __m512i (&v)[kRows]) {
  __m512i halves[4];  // 8 lanes of row r, then of row r + 4
#pragma GCC unroll 4
  for (int r = 0; r < 4; ++r) {
    halves[r] = larger(_mm512_shuffle_i64x2(v[r], v[r + 4], 0x44),
                       _mm512_shuffle_i64x2(v[r], v[r + 4], 0xee));
  }
  __m512i quarters[2];  // 4 lanes of rows r, r + 4, r + 1, r + 5
#pragma GCC unroll 2
  for (int i = 0; i < 2; ++i) {
    const __m512i a = halves[2 * i];
    const __m512i b = halves[2 * i + 1];
    quarters[i] = larger(_mm512_shuffle_i64x2(a, b, 0x88),
                         _mm512_shuffle_i64x2(a, b, 0xdd));
  }
  // Pairs of rows 0, 2; 4, 6; 1, 3; 5, 7.
  __m512i pairs = larger(_mm512_unpacklo_epi64(quarters[0], quarters[1]),
                         _mm512_unpackhi_epi64(quarters[0], quarters[1]));
  pairs = larger(pairs, _mm512_shuffle_epi32(pairs, _MM_PERM_CDAB));
  const __m512i order =
      _mm512_setr_epi32(0, 8, 2, 10, 4, 12, 6, 14, 0, 0, 0, 0, 0, 0, 0, 0);
  return _mm512_castsi512_si256(_mm512_permutexvar_epi32(order, pairs));
}

// Two rows of a chunk as codes: quarter q has unit q and unit q + 4 of the
// first row, then of the second.
inline __m512i two_rows(const float* const* x,
                        const float* inverse,
                        int64_t k,
                        Halves there) {
  __m512i words[2];
#pragma GCC unroll 2
  for (int r = 0; r < 2; ++r) {
    const __m512 by = _mm512_set1_ps(inverse[r]);
    words[r] = _mm512_packs_epi32(
        _mm512_cvtps_epi32(
            _mm512_mul_ps(_mm512_maskz_loadu_ps(there.low, x[r] + k), by)),
        _mm512_cvtps_epi32(_mm512_mul_ps(
            _mm512_maskz_loadu_ps(there.high, x[r] + k + 16), by)));
  }
  return _mm512_packs_epi16(words[0], words[1]);
}

// Units 2u and 2u + 1 of 8 rows each, u = 0 .. 3, from rows in twos.
inline void to_units(const __m512i (&twos)[4], __m512i (&units)[4]) {
  const __m512i first = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11);
  const __m512i second = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
  __m512i fours[2][2];  // units 0 .. 3 or 4 .. 7 of rows 0 .. 3 or 4 .. 7
#pragma GCC unroll 2
  for (int i = 0; i < 2; ++i) {
    const __m512 a = _mm512_castsi512_ps(twos[2 * i]);
    const __m512 b = _mm512_castsi512_ps(twos[2 * i + 1]);
    fours[0][i] = _mm512_castps_si512(_mm512_shuffle_ps(a, b, 0x88));
    fours[1][i] = _mm512_castps_si512(_mm512_shuffle_ps(a, b, 0xdd));
  }
#pragma GCC unroll 2
  for (int h = 0; h < 2; ++h) {
    units[2 * h] = _mm512_permutex2var_epi64(fours[h][0], first, fours[h][1]);
    units[2 * h + 1] =
        _mm512_permutex2var_epi64(fours[h][0], second, fours[h][1]);
  }
}

// Sums of the codes of 8 rows in two vectors of units.
inline __m256i sums_of(const __m512i* units) {
  __m512i sum = _mm512_setzero_si512();
#pragma GCC unroll 2
  for (int u = 0; u < 2; ++u) {
    const __m512i twos = _mm512_maddubs_epi16(_mm512_set1_epi8(1), units[u]);
    sum = _mm512_add_epi32(sum, _mm512_madd_epi16(twos, _mm512_set1_epi16(1)));
  }
  return _mm256_add_epi32(_mm512_castsi512_si256(sum),
                          _mm512_extracti64x4_epi64(sum, 1));
}

// The codes and sums of a chunk.
inline void set_chunk(const Panel& panel,
                      const float* inverse,
                      int64_t k,
                      Halves there) {
  __m512i twos[4];
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    twos[i] = two_rows(panel.x + 2 * i, inverse + 2 * i, k, there);
  }
  __m512i units[4];
  to_units(twos, units);
#pragma GCC unroll 4
  for (int u = 0; u < 4; ++u) {
    _mm512_storeu_si512(panel.codes + k * kRows + u * 64, units[u]);
  }
  const __m256i first = sums_of(units);
  const __m256i second = sums_of(units + 2);
  auto* halves =
      reinterpret_cast<__m256i*>(panel.half_sums + k / kLowbitHalf * kRows);
  _mm256_storeu_si256(halves, first);
  _mm256_storeu_si256(halves + 1, second);
  _mm256_storeu_si256(
      reinterpret_cast<__m256i*>(panel.sums + k / kLowbitChunk * kRows),
      _mm256_add_epi32(first, second));
}

// Rows with a number that is not finite, as bits; what is written of them does
// not count.
inline unsigned set_panel(const Panel& shared, int64_t columns, int64_t group) {
  const Panel panel = shared;  // the stores could change what a reference names
  unsigned bad = 0;
  for (int64_t k = 0; k < columns; k += group) {
    const int64_t last = k + group < columns ? k + group : columns;
    __m512i most[kRows];
    for (__m512i& of_row : most) of_row = _mm512_setzero_si512();
    for (int64_t c = k; c < last; c += kLowbitChunk) {
      const Halves there = halves_of(columns - c);
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) {
        most[r] = larger(most[r],
                         larger(magnitude(there.low, panel.x[r] + c),
                                magnitude(there.high, panel.x[r] + c + 16)));
      }
    }
    const __m256i highest = largest(most);
    bad |= _mm256_cmp_epi32_mask(
        highest, _mm256_set1_epi32(kInfinityBits), _MM_CMPINT_NLT);
    const __m256 scale = _mm256_max_ps(
        _mm256_div_ps(_mm256_castsi256_ps(highest), _mm256_set1_ps(127.0f)),
        _mm256_set1_ps(kLeastPanelScale));
    _mm256_storeu_ps(panel.scales + k / group * kRows, scale);
    alignas(32) float inverse[kRows];
    _mm256_store_ps(inverse, _mm256_div_ps(_mm256_set1_ps(1.0f), scale));
    for (int64_t c = k; c < last; c += kLowbitChunk) {
      set_chunk(panel, inverse, c, halves_of(columns - c));
    }
  }
  return bad;
}

}  // namespace

void run_quantize_panels_avx512(const QuantizePanelsArgs& args,
                                int64_t begin,
                                int64_t end) {
  // Few rows take no time beside their products.
  if (args.panel != kRows) return run_quantize_panels_avx2(args, begin, end);
  for (int64_t p = begin; p < end; ++p) {
    const PanelRow first = panel_row(args, p * kRows);
    Panel panel = {{}, first.codes, first.sums, first.half_sums, first.scales};
    for (int64_t r = 0; r < kRows; ++r) {
      // Rows behind m read what is there.
      const int64_t i = p * kRows + r < args.m ? p * kRows + r : args.m - 1;
      panel.x[r] = args.x + i * args.x_stride;
    }
    const unsigned bad = set_panel(panel, args.k, args.group);
    for (int64_t r = 0; r < kRows; ++r) {
      const PanelRow row = panel_row(args, p * kRows + r);
      if (row.x == nullptr) {
        fill_panel_row(args, row, 0.0f);
      } else if ((bad >> r & 1) != 0) {
        fill_panel_row(args, row, float_of_bits(kNaNBits));
      }
    }
  }
}

}  // namespace mantissa::kernels
