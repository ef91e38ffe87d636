#include <immintrin.h>

#include "kernels/cpu/lowbit_units_avx2.h"

namespace mantissa::kernels {
namespace {

// Weights in groups of 16: a segment is half a chunk, four units.

constexpr int kHalfUnits = kUnits / 2;

// Exact sums of 8 columns over half a chunk, added to what `sum` begins with;
// `stride` bytes from one unit of x to the next.
template <int kBits, int kRowsOf>
[[gnu::always_inline]] inline void add_products(const uint8_t* chunk,
                                                int half,
                                                int part,
                                                const int8_t* x,
                                                int64_t stride,
                                                __m256i (&sum)[kRowsOf]) {
  __m256i low[kRowsOf];
  __m256i high[kRowsOf];
#pragma GCC unroll 4
  for (int u = 0; u < kHalfUnits; ++u) {
    const int at = half * kHalfUnits + u;
    const __m256i wl = low_unit<kBits>(chunk, at, part);
    __m256i wh = wl;
    if constexpr (kBits > 4) wh = high_unit<kBits>(chunk, at, part);
#pragma GCC unroll 4
    for (int r = 0; r < kRowsOf; ++r) {
      const __m256i a = broadcast(x + u * stride + r * 4);
      const __m256i l = _mm256_maddubs_epi16(wl, a);
      low[r] = u == 0 ? l : _mm256_add_epi16(low[r], l);
      pin(low[r]);
      if constexpr (kBits > 4) {
        const __m256i h = _mm256_maddubs_epi16(wh, a);
        high[r] = u == 0 ? h : _mm256_add_epi16(high[r], h);
        pin(high[r]);
      }
    }
  }
#pragma GCC unroll 4
  for (int r = 0; r < kRowsOf; ++r) {
    sum[r] = _mm256_add_epi32(sum[r],
                              _mm256_madd_epi16(low[r], _mm256_set1_epi16(1)));
    if constexpr (kBits > 4) {
      sum[r] = _mm256_add_epi32(
          sum[r], _mm256_madd_epi16(high[r], _mm256_set1_epi16(16)));
    }
  }
}

// One tile against rows row .. row + kRowsOf - 1 of a panel.
template <int kBits, int kRowsOf, bool kOffsets>
void rows_by_tile(const LinearLowbitArgs& args,
                  const LowbitWalk& walk,
                  int64_t tile,
                  int64_t panel,
                  int64_t row) {
  const LowbitWeightView w = args.w;
  const LowbitActivations x = args.x;
  const int32_t middle = lowbit_middle(w);
  const int64_t stride = int64_t{x.panel} * 4;
  const uint8_t* chunk = w.codes + tile * walk.chunks * kBits * kUnitBytes;
  const int8_t* codes = x.codes + panel * x.k * x.panel + row * 4;
  const int32_t* sums =
      x.half_sums + panel * (x.k / kLowbitHalf) * x.panel + row;
  const float* x_scales = x.scales + panel * walk.x_groups * x.panel + row;
  __m256 acc[kRowsOf][2];
  for (auto& of_row : acc) of_row[0] = of_row[1] = _mm256_setzero_ps();
  for (int64_t k = 0; k < w.k; k += kLowbitChunk) {
    _mm_prefetch(reinterpret_cast<const char*>(chunk + 4096), _MM_HINT_T0);
    const float* of_x = x_scales + walk.x_group(k) * x.panel;
#pragma GCC unroll 2
    for (int half = 0; half < 2; ++half) {
      const int64_t first = k + half * kLowbitHalf;
#pragma GCC unroll 2
      for (int part = 0; part < 2; ++part) {
        const int64_t at = walk.place(tile, first) + 8 * part;
        const int64_t super = walk.super_place(tile, first) + 8 * part;
        __m256i sum[kRowsOf];
        for (int r = 0; r < kRowsOf; ++r) {
          sum[r] = _mm256_set1_epi32(-middle * sums[r]);
        }
        add_products<kBits, kRowsOf>(chunk, half, part, codes, stride, sum);
        const __m256 scale =
            leveled(w.scale_type, w.scales, super, w.factors, at);
        __m256 offsets = scale;
        if constexpr (kOffsets) {
          offsets =
              leveled(w.scale_type, w.offsets, super, w.offset_factors, at);
        }
        for (int r = 0; r < kRowsOf; ++r) {
          const float by = x.group == 0 ? 1.0f : of_x[r];
          __m256& to = acc[r][part];
          to = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum[r]),
                               _mm256_mul_ps(scale, _mm256_set1_ps(by)),
                               to);
          if constexpr (kOffsets) {
            to = _mm256_fmadd_ps(
                _mm256_set1_ps(static_cast<float>(sums[r]) * by), offsets, to);
          }
        }
      }
      codes += kHalfUnits * stride;
      sums += x.panel;
    }
    chunk += kBits * kUnitBytes;
  }
  for (int r = 0; r < kRowsOf; ++r) {
    for (int part = 0; part < 2; ++part) {
      finish(args, panel, row + r, tile * kLowbitTile + 8 * part, acc[r][part]);
    }
  }
}

// Panels of 8 rows in two parts.
template <int kBits, bool kOffsets>
void panel_by_tile(const LinearLowbitArgs& args,
                   const LowbitWalk& walk,
                   int64_t tile,
                   int64_t panel) {
  if (args.x.panel == 1) {
    rows_by_tile<kBits, 1, kOffsets>(args, walk, tile, panel, 0);
  } else if (args.x.panel == 2) {
    rows_by_tile<kBits, 2, kOffsets>(args, walk, tile, panel, 0);
  } else {
    for (int64_t row = 0; row < args.x.panel; row += 4) {
      rows_by_tile<kBits, 4, kOffsets>(args, walk, tile, panel, row);
    }
  }
}

template <int kBits, bool kOffsets>
void run(const LinearLowbitArgs& args, const LinearLowbitTiles& tiles) {
  const LowbitWalk walk(args);
  const int64_t panels = (args.x.m + args.x.panel - 1) / args.x.panel;
  for (int64_t tile = tiles.begin; tile < tiles.end; ++tile) {
    for (int64_t p = 0; p < panels; ++p) {
      panel_by_tile<kBits, kOffsets>(args, walk, tile, p);
    }
  }
}

template <int kBits>
void run(const LinearLowbitArgs& args, const LinearLowbitTiles& tiles) {
  if (args.w.offsets != nullptr) return run<kBits, true>(args, tiles);
  run<kBits, false>(args, tiles);
}

}  // namespace

void run_linear_lowbit_halves_avx2(const LinearLowbitArgs& args,
                                   const LinearLowbitTiles& tiles) {
  switch (args.w.bits) {
    case 2:
      return run<2>(args, tiles);
    case 3:
      return run<3>(args, tiles);
    default:
      return run<6>(args, tiles);
  }
}

}  // namespace mantissa::kernels
