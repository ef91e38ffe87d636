#pragma once

// attend_one_loop() for AVX-512 where heads are whole vectors: rows of the
// cache are widened in registers and all heads (up to four) share them. A
// product of a query and a key keeps its eight sums, two keys in a vector, so
// that the bits are those of attend_loops.h. Only C headers here.
#include <immintrin.h>

#include "kernels/cpu/attend_loops.h"

namespace mantissa::kernels {
namespace {

constexpr int64_t kWide = 16;

inline __m512 widened(__m256i bf16) {
  return _mm512_castsi512_ps(
      _mm512_slli_epi32(_mm512_cvtepu16_epi32(bf16), 16));
}

// Values [d, d + 8) of two rows.
template <CacheType kCache>
inline __m512 two_rows(const uint8_t* a, const uint8_t* b, int64_t d) {
  if constexpr (kCache == CacheType::F32) {
    return _mm512_insertf32x8(
        _mm512_castps256_ps512(
            _mm256_loadu_ps(reinterpret_cast<const float*>(a) + d)),
        _mm256_loadu_ps(reinterpret_cast<const float*>(b) + d),
        1);
  } else if constexpr (kCache == CacheType::Bf16) {
    return widened(_mm256_inserti128_si256(
        _mm256_castsi128_si256(
            _mm_loadu_si128(reinterpret_cast<const __m128i*>(a + 2 * d))),
        _mm_loadu_si128(reinterpret_cast<const __m128i*>(b + 2 * d)),
        1));
  } else {
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_unpacklo_epi64(
        _mm_loadl_epi64(reinterpret_cast<const __m128i*>(a + d)),
        _mm_loadl_epi64(reinterpret_cast<const __m128i*>(b + d)))));
  }
}

// Values [d, d + 16) of a row.
template <CacheType kCache>
inline __m512 one_row(const uint8_t* row, int64_t d) {
  if constexpr (kCache == CacheType::F32) {
    return _mm512_loadu_ps(reinterpret_cast<const float*>(row) + d);
  } else if constexpr (kCache == CacheType::Bf16) {
    return widened(
        _mm256_loadu_si256(reinterpret_cast<const __m256i*>(row + 2 * d)));
  } else {
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(
        _mm_loadu_si128(reinterpret_cast<const __m128i*>(row + d))));
  }
}

// The sums of lanes [0, 8) and [8, 16) of four vectors, halves added to halves.
inline __m256 sum_eights(const __m512 (&v)[4]) {
  const __m512 a = _mm512_add_ps(_mm512_shuffle_f32x4(v[0], v[1], 0x88),
                                 _mm512_shuffle_f32x4(v[0], v[1], 0xdd));
  const __m512 b = _mm512_add_ps(_mm512_shuffle_f32x4(v[2], v[3], 0x88),
                                 _mm512_shuffle_f32x4(v[2], v[3], 0xdd));
  const __m512 c = _mm512_add_ps(_mm512_shuffle_ps(a, b, 0x44),
                                 _mm512_shuffle_ps(a, b, 0xee));
  const __m512 d = _mm512_add_ps(_mm512_shuffle_ps(c, c, 0x88),
                                 _mm512_shuffle_ps(c, c, 0xdd));
  return _mm512_castps512_ps256(_mm512_permutexvar_ps(
      _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 0, 0, 0, 0, 0, 0, 0, 0), d));
}

// Products of kHeads queries with 2 * kPairs keys, of which `last` is the last;
// the sums of the first `count` into `scores`.
template <CacheType kCache, int kHeads, int kPairs>
inline void dot_pairs(const AttendOneArgs& args,
                      const float* q,
                      const uint8_t* keys,
                      const uint8_t* last,
                      int64_t count,
                      float* scores) {
  const int64_t dim = args.head_dim;
  const int64_t bytes = row_bytes(kCache, dim);
  __m512 sums[kHeads][4];
#pragma GCC unroll 4
  for (int h = 0; h < kHeads; ++h) {
#pragma GCC unroll 4
    for (int p = 0; p < 4; ++p) sums[h][p] = _mm512_setzero_ps();
  }
  for (int64_t d = 0; d < dim; d += kLanes) {
    __m512 two[kPairs];
#pragma GCC unroll 4
    for (int p = 0; p < kPairs; ++p) {
      const uint8_t* row = keys + 2 * p * bytes;
      two[p] = two_rows<kCache>(row, p + 1 < kPairs ? row + bytes : last, d);
    }
#pragma GCC unroll 4
    for (int h = 0; h < kHeads; ++h) {
      const __m512 of =
          _mm512_broadcast_f32x8(_mm256_loadu_ps(q + h * dim + d));
#pragma GCC unroll 4
      for (int p = 0; p < kPairs; ++p) {
        sums[h][p] = _mm512_add_ps(sums[h][p], _mm512_mul_ps(of, two[p]));
      }
    }
  }
  const auto mask = static_cast<__mmask8>((1u << count) - 1);
#pragma GCC unroll 4
  for (int h = 0; h < kHeads; ++h) {
    _mm256_mask_storeu_ps(scores + h * kAttendBlock, mask, sum_eights(sums[h]));
  }
}

template <CacheType kCache, int kHeads>
inline void dot_all(const AttendOneArgs& args, const float* q, float* scores) {
  const int64_t bytes = row_bytes(kCache, args.head_dim);
  const auto* keys = static_cast<const uint8_t*>(args.keys);
  int64_t j = 0;
  for (; j + 8 <= args.count; j += 8, keys += 8 * bytes) {
    dot_pairs<kCache, kHeads, 4>(
        args, q, keys, keys + 7 * bytes, 8, scores + j);
  }
  for (; j < args.count; j += 2, keys += 2 * bytes) {
    const int64_t count = j + 2 <= args.count ? 2 : 1;
    dot_pairs<kCache, kHeads, 1>(
        args, q, keys, keys + (count - 1) * bytes, count, scores + j);
  }
}

// kHeads x kParts vectors of the sums, from value `d` of the head on.
template <CacheType kCache, int kHeads, int kParts>
inline void weigh_wide(const AttendOneArgs& args,
                       int64_t d,
                       const float* weights,
                       float* out) {
  const int64_t bytes = row_bytes(kCache, args.head_dim);
  const auto* row = static_cast<const uint8_t*>(args.values);
  __m512 sums[kHeads][kParts];
#pragma GCC unroll 4
  for (int h = 0; h < kHeads; ++h) {
#pragma GCC unroll 4
    for (int p = 0; p < kParts; ++p) sums[h][p] = _mm512_setzero_ps();
  }
  for (int64_t j = 0; j < args.count; ++j, row += bytes) {
    __m512 values[kParts];
#pragma GCC unroll 4
    for (int p = 0; p < kParts; ++p) {
      values[p] = one_row<kCache>(row, d + p * kWide);
    }
#pragma GCC unroll 4
    for (int h = 0; h < kHeads; ++h) {
      const __m512 weight = _mm512_set1_ps(weights[h * kAttendBlock + j]);
#pragma GCC unroll 4
      for (int p = 0; p < kParts; ++p) {
        sums[h][p] =
            _mm512_add_ps(sums[h][p], _mm512_mul_ps(values[p], weight));
      }
    }
  }
#pragma GCC unroll 4
  for (int h = 0; h < kHeads; ++h) {
#pragma GCC unroll 4
    for (int p = 0; p < kParts; ++p) {
      _mm512_storeu_ps(out + h * args.part_stride + d + p * kWide, sums[h][p]);
    }
  }
}

// kHeads heads from `first` on: queries, then softmax, then values.
template <CacheType kCache, int kHeads>
inline void attend_heads(const AttendOneArgs& args, int64_t first) {
  const int64_t dim = args.head_dim;
  float* scores = args.scratch;
  float* parts = args.parts + first * args.part_stride;
  dot_all<kCache, kHeads>(args, args.q + first * dim, scores);
  for (int h = 0; h < kHeads; ++h) {
    soften_block(
        args, scores + h * kAttendBlock, parts + h * args.part_stride + dim);
  }
  int64_t d = 0;
  for (; d + 4 * kWide <= dim; d += 4 * kWide) {
    weigh_wide<kCache, kHeads, 4>(args, d, scores, parts);
  }
  for (; d < dim; d += kWide) {
    weigh_wide<kCache, kHeads, 1>(args, d, scores, parts);
  }
}

template <CacheType kCache>
inline void attend_wide(const AttendOneArgs& args) {
  int64_t h = 0;
  for (; h + 4 <= args.heads; h += 4) attend_heads<kCache, 4>(args, h);
  switch (args.heads - h) {
    case 3:
      return attend_heads<kCache, 3>(args, h);
    case 2:
      return attend_heads<kCache, 2>(args, h);
    case 1:
      return attend_heads<kCache, 1>(args, h);
    default:
      return;
  }
}

inline void attend_one_wide(const AttendOneArgs& args) {
  if (args.head_dim % kWide != 0) return attend_one_loop(args);
  switch (args.cache) {
    case CacheType::F32:
      return attend_wide<CacheType::F32>(args);
    case CacheType::Bf16:
      return attend_wide<CacheType::Bf16>(args);
    case CacheType::I8:
      return attend_wide<CacheType::I8>(args);
  }
}

}  // namespace
}  // namespace mantissa::kernels
