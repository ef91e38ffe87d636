#include <immintrin.h>

#include "kernels/cpu/lowbit_products_avx512.h"

namespace mantissa::kernels {
namespace {

// Weights in groups of 16: a segment is half a chunk, four units.

constexpr int kHalfUnits = kUnits / 2;

// One tile against a panel of kRowsOf rows.
template <int kBits, int kRowsOf, bool kOffsets>
void panel_by_tile(const LinearLowbitArgs& args,
                   const LowbitWalk& walk,
                   int64_t tile,
                   int64_t panel) {
  const LowbitWeightView w = args.w;
  const LowbitActivations x = args.x;
  const int32_t middle = lowbit_middle(w);
  const uint8_t* chunk = w.codes + tile * walk.chunks * kBits * kUnitBytes;
  const int8_t* codes = x.codes + panel * x.k * kRowsOf;
  const int32_t* sums = x.half_sums + panel * (x.k / kLowbitHalf) * kRowsOf;
  const float* x_scales = x.scales + panel * walk.x_groups * kRowsOf;
  __m512 acc[kRowsOf];
  for (__m512& row : acc) row = _mm512_setzero_ps();
  for (int64_t k = 0; k < w.k; k += kLowbitChunk) {
    fetch_ahead<kBits, kRowsOf == 1 ? Fetch::First : Fetch::Second>(chunk);
    const float* of_x = x_scales + walk.x_group(k) * kRowsOf;
#pragma GCC unroll 2
    for (int half = 0; half < 2; ++half) {
      const int64_t first = k + half * kLowbitHalf;
      const int64_t at = walk.place(tile, first);
      const int64_t super = walk.super_place(tile, first);
      __m512i sum[kRowsOf];
#pragma GCC unroll 8
      for (int r = 0; r < kRowsOf; ++r) {
        sum[r] = _mm512_set1_epi32(-middle * sums[r]);
      }
#pragma GCC unroll 4
      for (int u = 0; u < kHalfUnits; ++u) {
        const __m512i codes_of = unit<kBits>(chunk, half * kHalfUnits + u);
#pragma GCC unroll 8
        for (int r = 0; r < kRowsOf; ++r) {
          sum[r] = _mm512_dpbusd_epi32(
              sum[r], codes_of, broadcast(codes + (u * kRowsOf + r) * 4));
          pin(sum[r]);
        }
      }
      const __m512 scale =
          leveled(w.scale_type, w.scales, super, w.factors, at);
      __m512 offsets = scale;
      if constexpr (kOffsets) {
        offsets = leveled(w.scale_type, w.offsets, super, w.offset_factors, at);
      }
#pragma GCC unroll 8
      for (int r = 0; r < kRowsOf; ++r) {
        const float by = x.group == 0 ? 1.0f : of_x[r];
        acc[r] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum[r]),
                                 _mm512_mul_ps(scale, _mm512_set1_ps(by)),
                                 acc[r]);
        if constexpr (kOffsets)
          acc[r] = add_offset(acc[r], sums[r], by, offsets);
      }
      codes += kLowbitHalf * kRowsOf;
      sums += kRowsOf;
    }
    chunk += kBits * kUnitBytes;
  }
  for (int r = 0; r < kRowsOf; ++r) {
    finish(args, panel, r, tile * kLowbitTile, acc[r]);
  }
}

template <int kBits, int kRowsOf, bool kOffsets>
void run_rows(const LinearLowbitArgs& args, const LinearLowbitTiles& tiles) {
  const LowbitWalk walk(args);
  const int64_t panels = (args.x.m + kRowsOf - 1) / kRowsOf;
  for (int64_t tile = tiles.begin; tile < tiles.end; tile += kTilesAtOnce) {
    const int64_t end = least(tile + kTilesAtOnce, tiles.end);
    for (int64_t p = 0; p < panels; ++p) {
      for (int64_t t = tile; t < end; ++t) {
        panel_by_tile<kBits, kRowsOf, kOffsets>(args, walk, t, p);
      }
    }
  }
}

template <int kBits, bool kOffsets>
void run(const LinearLowbitArgs& args, const LinearLowbitTiles& tiles) {
  switch (args.x.panel) {
    case 1:
      return run_rows<kBits, 1, kOffsets>(args, tiles);
    case 2:
      return run_rows<kBits, 2, kOffsets>(args, tiles);
    case 4:
      return run_rows<kBits, 4, kOffsets>(args, tiles);
    default:
      return run_rows<kBits, 8, kOffsets>(args, tiles);
  }
}

template <int kBits>
void run(const LinearLowbitArgs& args, const LinearLowbitTiles& tiles) {
  if (args.w.offsets != nullptr) return run<kBits, true>(args, tiles);
  run<kBits, false>(args, tiles);
}

}  // namespace

void run_linear_lowbit_halves_avx512vnni(const LinearLowbitArgs& args,
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
