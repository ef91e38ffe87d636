#pragma once

// Products of a unit of codes and ends of groups, for the files of
// linear_lowbit_bf16 that multiply in vectors. Only C headers here.
#include <immintrin.h>

#include "kernels/cpu/lowbit_pairs_avx512bf16.h"

namespace mantissa::kernels {
namespace {

inline void pin(__m512& sum) { __asm__("" : "+v"(sum)); }

inline __m512bh broadcast(const uint16_t* two) {
  return reinterpret_cast<__m512bh>(_mm512_set1_epi32(load_i32(two)));
}

inline void add_products(__m512& sum, __m512i codes, __m512bh x) {
  sum = _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(codes), x);
  pin(sum);
}

// The same with two values of x from memory, in one instruction: GCC would load
// them in another.
inline void add_products(__m512& sum, __m512i codes, const uint16_t* two) {
  __asm__("vdpbf16ps %2%{1to16%}, %1, %0"
          : "+v"(sum)
          : "v"(codes), "m"(*reinterpret_cast<const uint16_t(*)[2]>(two)));
}

/// Groups of K: powers of two, or all of it.
struct Groups {
  int64_t count;
  int64_t chunks;  // of a group
  int64_t supers;  // of two levels of scales
  int shift;       // of a group to its super-block

  explicit Groups(const LowbitWeightView& w)
      : count(w.k / w.group),
        chunks(w.group / kLowbitChunk),
        supers(w.super == 0 ? count : w.k / w.super),
        shift(w.super == 0 ? 0 : shift_of(w.super / w.group)) {}
};

// Scales or offsets of a group; of two levels where kOffsets allows it.
template <bool kOffsets>
inline __m512 group_level(const LowbitWeightView& w,
                          const Groups& groups,
                          const void* values,
                          const int8_t* factors,
                          int64_t tile,
                          int64_t group) {
  const int64_t at = (tile * groups.count + group) * kLowbitTile;
  if (!kOffsets || factors == nullptr) {
    return metadata_of(w.scale_type, values, at);
  }
  const int64_t super =
      (tile * groups.supers + (group >> groups.shift)) * kLowbitTile;
  return leveled(w.scale_type, values, super, factors, at);
}

// Minus the sum of a row of a panel over chunks [begin, begin + count).
template <int kRows>
inline float minus_sum(const float* sums,
                       int row,
                       int64_t begin,
                       int64_t count) {
  float out = 0.0f;
  for (int64_t c = begin; c < begin + count; ++c) {
    out -= sums[c * kRows + row];
  }
  return out;
}

// Minus the sums of 8 rows over the chunks of a group.
inline __m256 minus_sums(const float* sums, int64_t chunks) {
  __m256 total = _mm256_setzero_ps();
  for (int64_t c = 0; c < chunks; ++c) {
    total = _mm256_sub_ps(total, _mm256_loadu_ps(sums + c * 8));
  }
  return total;
}

// acc += scale * sum [+ offset * sum of x] of a group, for kPanels panels of 8
// rows and kTiles tiles; `sums`: of x in the group, those of the next panel
// `chunks` further.
template <int kTiles, int kPanels, bool kOffsets>
inline void end_group(const LowbitWeightView& w,
                      const Groups& groups,
                      int64_t tile,
                      int64_t group,
                      const float* sums,
                      int64_t chunks,
                      const __m512 (&sum)[kPanels][kTiles][8],
                      float* acc) {
  __m512 scale[kTiles];
  __m512 offsets[kTiles];
#pragma GCC unroll 2
  for (int t = 0; t < kTiles; ++t) {
    scale[t] =
        group_level<kOffsets>(w, groups, w.scales, w.factors, tile + t, group);
    if constexpr (kOffsets) {
      offsets[t] = group_level<kOffsets>(
          w, groups, w.offsets, w.offset_factors, tile + t, group);
    }
  }
  __asm__("" : "+r"(acc));  // GCC would keep a pointer for each row
#pragma GCC unroll 2
  for (int p = 0; p < kPanels; ++p) {
    alignas(32) float less[8];
    if constexpr (kOffsets) {
      _mm256_store_ps(less, minus_sums(sums + p * chunks * 8, groups.chunks));
    }
#pragma GCC unroll 8
    for (int r = 0; r < 8; ++r) {
#pragma GCC unroll 2
      for (int t = 0; t < kTiles; ++t) {
        float* row = acc + ((p * kTiles + t) * 8 + r) * kLowbitTile;
        __m512 added =
            _mm512_fmadd_ps(sum[p][t][r], scale[t], _mm512_load_ps(row));
        if constexpr (kOffsets) {
          added = _mm512_fnmadd_ps(_mm512_set1_ps(less[r]), offsets[t], added);
        }
        _mm512_store_ps(row, added);
      }
    }
  }
}

// The products of a unit of codes of kTiles tiles with rows.
template <int kTiles, int kRows>
[[gnu::always_inline]] inline void add_unit(const Pairs (&codes)[kTiles],
                                            const uint16_t* x,
                                            __m512 (&sum)[kTiles][kRows]) {
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
    const __m512bh two = broadcast(x + r * 4);
#pragma GCC unroll 2
    for (int t = 0; t < kTiles; ++t) {
      add_products(sum[t][r], codes[t].even, two);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
    const __m512bh two = broadcast(x + r * 4 + 2);
#pragma GCC unroll 2
    for (int t = 0; t < kTiles; ++t) {
      add_products(sum[t][r], codes[t].odd, two);
    }
  }
}

}  // namespace
}  // namespace mantissa::kernels
