#include <immintrin.h>

#include "kernels/cpu/quantize_panels_rows.h"

namespace mantissa::kernels {
namespace {

inline int32_t highest(__m256i v) {
  __m128i m =
      _mm_max_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
  m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0x4e));
  m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0xb1));
  return _mm_cvtsi128_si32(m);
}

inline int32_t total(__m128i s) {
  s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4e));
  s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0xb1));
  return _mm_cvtsi128_si32(s);
}

// Values [k, k + 32) of a row, 0 behind its end.
inline const float* chunk_of(const float* x,
                             int64_t k,
                             int64_t end,
                             float (&padded)[kLowbitChunk]) {
  if (k + kLowbitChunk <= end) return x + k;
  memset(padded, 0, sizeof(padded));
  memcpy(padded, x + k, static_cast<size_t>(end - k) * sizeof(float));
  return padded;
}

// The largest bits of |x|: above kInfinityBits - 1 where one is not finite.
inline int32_t magnitude(const float* x) {
  const __m256i mask = _mm256_set1_epi32(0x7fffffff);
  __m256i most = _mm256_setzero_si256();
  for (int i = 0; i < 4; ++i) {
    most = _mm256_max_epi32(
        most,
        _mm256_and_si256(_mm256_castps_si256(_mm256_loadu_ps(x + 8 * i)),
                         mask));
  }
  return highest(most);
}

// 32 codes in order.
inline __m256i codes_of(const float* x, float inverse) {
  const __m256 by = _mm256_set1_ps(inverse);
  __m256i q[4];
  for (int i = 0; i < 4; ++i) {
    q[i] = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + 8 * i), by));
  }
  // The packs work on halves of registers; groups of 4 codes are put in order.
  const __m256i packed = _mm256_packs_epi16(_mm256_packs_epi32(q[0], q[1]),
                                            _mm256_packs_epi32(q[2], q[3]));
  return _mm256_permutevar8x32_epi32(packed,
                                     _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

inline void put_units(__m256i codes, int64_t panel, int8_t* to) {
  if (panel == 1) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), codes);
    return;
  }
  int32_t units[8];
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(units), codes);
  for (int u = 0; u < 8; ++u) {
    memcpy(to + u * panel * 4, &units[u], sizeof(int32_t));
  }
}

void set_row(const QuantizePanelsArgs& args, const PanelRow& row) {
  const __m256i ones = _mm256_set1_epi8(1);
  float padded[kLowbitChunk];  // only the last chunk of a row is short
  for (int64_t k = 0; k < args.k; k += args.group) {
    const int64_t last = k + args.group < args.k ? k + args.group : args.k;
    const float* x[2];
    int32_t most = 0;
    int count = 0;
    for (int64_t c = k; c < last; c += kLowbitChunk) {
      x[count] = chunk_of(row.x, c, args.k, padded);
      const int32_t here = magnitude(x[count++]);
      most = here > most ? here : most;
    }
    if (most >= kInfinityBits) {
      fill_panel_row(args, row, float_of_bits(kNaNBits));
      return;
    }
    const float scaled = float_of_bits(most) / 127.0f;
    const float scale = scaled > kLeastPanelScale ? scaled : kLeastPanelScale;
    row.scales[k / args.group * args.panel] = scale;
    for (int i = 0; i < count; ++i) {
      const int64_t chunk = k / kLowbitChunk + i;
      const __m256i codes = codes_of(x[i], 1.0f / scale);
      const __m256i fours = _mm256_madd_epi16(_mm256_maddubs_epi16(ones, codes),
                                              _mm256_set1_epi16(1));
      const int32_t first = total(_mm256_castsi256_si128(fours));
      const int32_t second = total(_mm256_extracti128_si256(fours, 1));
      row.half_sums[2 * chunk * args.panel] = first;
      row.half_sums[(2 * chunk + 1) * args.panel] = second;
      row.sums[chunk * args.panel] = first + second;
      put_units(
          codes, args.panel, row.codes + chunk * kLowbitChunk * args.panel);
    }
  }
}

}  // namespace

void run_quantize_panels_avx2(const QuantizePanelsArgs& args,
                              int64_t begin,
                              int64_t end) {
  for (int64_t i = begin * args.panel; i < end * args.panel; ++i) {
    const PanelRow row = panel_row(args, i);
    if (row.x == nullptr) {
      fill_panel_row(args, row, 0.0f);
    } else {
      set_row(args, row);
    }
  }
}

}  // namespace mantissa::kernels
