#include <immintrin.h>

#include "kernels/cpu/lowbit_units_avx2.h"
#include "kernels/cpu/lowbit_workspaces.h"

namespace mantissa::kernels {
namespace {

// Scales, and offsets, of 8 columns of the group at k, columns `half` on.
template <LowbitForm kForm>
inline __m256 group_scales(const LowbitWeightView& w,
                           const LowbitWalk& walk,
                           int64_t tile,
                           int64_t k,
                           int half) {
  const int64_t at = walk.place(tile, k) + half;
  if constexpr (kForm != LowbitForm::Levels) return scales_of(w, at);
  return leveled(
      w.scale_type, w.scales, walk.super_place(tile, k) + half, w.factors, at);
}

template <LowbitForm kForm>
inline __m256 group_offsets(const LowbitWeightView& w,
                            const LowbitWalk& walk,
                            int64_t tile,
                            int64_t k,
                            int half) {
  const int64_t at = walk.place(tile, k) + half;
  if constexpr (kForm != LowbitForm::Levels) return offsets_of(w, at);
  return leveled(w.scale_type,
                 w.offsets,
                 walk.super_place(tile, k) + half,
                 w.offset_factors,
                 at);
}

// One tile against kRowsOf rows, which are a panel: weights stay in registers.
template <int kBits, int kRowsOf, LowbitForm kForm>
void rows_by_tile(const LinearLowbitArgs& args,
                  const LowbitWalk& walk,
                  int64_t tile) {
  const LowbitWeightView& w = args.w;
  const LowbitActivations& x = args.x;
  const uint8_t* chunk = w.codes + tile * walk.chunks * kBits * kUnitBytes;
  const int8_t* codes = x.codes;
  const __m256i ones = _mm256_set1_epi16(1);
  const __m256i sixteens = _mm256_set1_epi16(16);
  __m256 acc[kRowsOf][2];
  for (auto& row : acc) row[0] = row[1] = _mm256_setzero_ps();
  for (int64_t k = 0; k < w.k;) {
    const int64_t end = walk.end(k);
    const int64_t at = (tile * walk.groups + walk.group(k)) * kLowbitTile;
    __m256i sum[kRowsOf][2];
    for (int r = 0; r < kRowsOf; ++r) {
      const int32_t total = code_sum(x, 0, r, k, end);
      sum[r][0] = start(w, at, total);
      sum[r][1] = start(w, at + 8, total);
    }
    for (int64_t c = k; c < end; c += kLowbitChunk) {
      _mm_prefetch(reinterpret_cast<const char*>(chunk + 4096), _MM_HINT_T0);
      __m256i low[kRowsOf][2];
      __m256i high[kRowsOf][2];
#pragma GCC unroll 8
      for (int u = 0; u < kUnits; ++u) {
#pragma GCC unroll 2
        for (int h = 0; h < 2; ++h) {
          const __m256i wl = low_unit<kBits>(chunk, u, h);
          __m256i wh = wl;
          if constexpr (kBits > 4) wh = high_unit<kBits>(chunk, u, h);
#pragma GCC unroll 2
          for (int r = 0; r < kRowsOf; ++r) {
            const __m256i a = broadcast(codes + (u * kRowsOf + r) * 4);
            const __m256i l = _mm256_maddubs_epi16(wl, a);
            low[r][h] = u == 0 ? l : _mm256_add_epi16(low[r][h], l);
            pin(low[r][h]);
            if constexpr (kBits > 4) {
              const __m256i g = _mm256_maddubs_epi16(wh, a);
              high[r][h] = u == 0 ? g : _mm256_add_epi16(high[r][h], g);
              pin(high[r][h]);
            }
          }
        }
      }
      for (int r = 0; r < kRowsOf; ++r) {
        for (int h = 0; h < 2; ++h) {
          sum[r][h] =
              _mm256_add_epi32(sum[r][h], _mm256_madd_epi16(low[r][h], ones));
          if constexpr (kBits > 4) {
            sum[r][h] = _mm256_add_epi32(
                sum[r][h], _mm256_madd_epi16(high[r][h], sixteens));
          }
        }
      }
      chunk += kBits * kUnitBytes;
      codes += kLowbitChunk * kRowsOf;
    }
    for (int h = 0; h < 2; ++h) {
      const __m256 scale = group_scales<kForm>(w, walk, tile, k, 8 * h);
      for (int r = 0; r < kRowsOf; ++r) {
        const __m256 s =
            x.group == 0
                ? scale
                : _mm256_mul_ps(
                      scale,
                      _mm256_set1_ps(x.scales[walk.x_group(k) * kRowsOf + r]));
        acc[r][h] =
            _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum[r][h]), s, acc[r][h]);
        if constexpr (kForm != LowbitForm::Plain) {
          const float by =
              x.group == 0 ? 1.0f : x.scales[walk.x_group(k) * kRowsOf + r];
          const auto total = static_cast<float>(code_sum(x, 0, r, k, end));
          acc[r][h] =
              _mm256_fmadd_ps(_mm256_set1_ps(total * by),
                              group_offsets<kForm>(w, walk, tile, k, 8 * h),
                              acc[r][h]);
        }
      }
    }
    k = end;
  }
  for (int r = 0; r < kRowsOf; ++r) {
    for (int h = 0; h < 2; ++h) {
      finish(args, 0, r, tile * kLowbitTile + 8 * h, acc[r][h]);
    }
  }
}

// Partial sums of a row of the workspace; those of a segment longer than a
// block stand behind those of all `rows`.
inline Avx2Sums& sums_at(Avx2Workspace& space, int64_t slot) {
  return parts_behind<Avx2Sums>(space)[slot];
}

inline Avx2Carried& carried_at(Avx2Workspace& space,
                               int64_t rows,
                               int64_t slot) {
  return parts_behind<Avx2Carried>(space)[rows + slot];
}

template <int kBits>
void unpack(const uint8_t* chunk, int64_t chunks, Avx2Workspace& to) {
  for (int64_t c = 0; c < chunks; ++c) {
    const int64_t at = c * kUnits * kUnitBytes;
#pragma GCC unroll 8
    for (int u = 0; u < kUnits; ++u) {
      for (int h = 0; h < 2; ++h) {
        const int64_t place = at + u * kUnitBytes + h * 32;
        _mm256_store_si256(reinterpret_cast<__m256i*>(to.low + place),
                           low_unit<kBits>(chunk, u, h));
        if constexpr (kBits > 4) {
          _mm256_store_si256(reinterpret_cast<__m256i*>(to.high + place),
                             high_unit<kBits>(chunk, u, h));
        }
      }
    }
    chunk += kBits * kUnitBytes;
  }
}

// 4 rows times one plane of unpacked chunks: sum += (codes * x) * factor.
inline void four_rows(const uint8_t* units,
                      const int8_t* x,
                      int64_t stride,  // bytes from one unit of x to the next
                      int64_t chunks,
                      __m256i factor,
                      __m256i (&sum)[4][2]) {
  for (int64_t c = 0; c < chunks; ++c) {
    __m256i part[4][2];
#pragma GCC unroll 8
    for (int u = 0; u < kUnits; ++u) {
      const __m256i w0 = load(units + u * kUnitBytes);
      const __m256i w1 = load(units + u * kUnitBytes + 32);
#pragma GCC unroll 4
      for (int r = 0; r < 4; ++r) {
        const __m256i a = broadcast(x + r * 4);
        const __m256i p0 = _mm256_maddubs_epi16(w0, a);
        const __m256i p1 = _mm256_maddubs_epi16(w1, a);
        part[r][0] = u == 0 ? p0 : _mm256_add_epi16(part[r][0], p0);
        part[r][1] = u == 0 ? p1 : _mm256_add_epi16(part[r][1], p1);
        pin(part[r][0]);
        pin(part[r][1]);
      }
      x += stride;
    }
    for (int r = 0; r < 4; ++r) {
      for (int h = 0; h < 2; ++h) {
        sum[r][h] =
            _mm256_add_epi32(sum[r][h], _mm256_madd_epi16(part[r][h], factor));
      }
    }
    units += kUnits * kUnitBytes;
  }
}

struct Block {
  int64_t tile;
  int64_t begin;  // of K
  int64_t end;
  int64_t rows;  // with partial sums
};

// Scales and zero points of the block's segments as the loops take them.
void read_metadata(const LowbitWeightView& w,
                   const LowbitWalk& walk,
                   const Block& block,
                   Avx2Workspace& space) {
  const bool levels = w.factors != nullptr;
  int64_t segment = 0;
  for (int64_t k = block.begin; k < block.end; ++segment) {
    const int64_t at = (block.tile * walk.groups + walk.group(k)) * kLowbitTile;
    for (int h = 0; h < 2; ++h) {
      _mm256_storeu_ps(space.scales[segment] + 8 * h,
                       levels ? group_scales<LowbitForm::Levels>(
                                    w, walk, block.tile, k, 8 * h)
                              : scales_of(w, at + 8 * h));
      _mm256_storeu_si256(
          reinterpret_cast<__m256i*>(space.zeros[segment] + 8 * h),
          zeros_of(w, at + 8 * h));
      if (w.offsets == nullptr) continue;
      _mm256_storeu_ps(space.offsets[segment] + 8 * h,
                       levels ? group_offsets<LowbitForm::Levels>(
                                    w, walk, block.tile, k, 8 * h)
                              : offsets_of(w, at + 8 * h));
    }
    k = walk.end(k);
  }
}

// Rows row .. row + 3 of a panel against the unpacked block; `slot` is their
// place in the workspace.
template <bool kHigh, bool kZeros, bool kOffsets>
void block_rows(const LinearLowbitArgs& args,
                const LowbitWalk& shared_walk,
                const Block& block,
                int64_t panel,
                int64_t row,
                int64_t slot,
                Avx2Workspace& space) {
  // Copies: the stores below could change what a reference names.
  const LowbitWalk walk = shared_walk;
  const LowbitActivations x = args.x;
  const int32_t offset = lowbit_middle(args.w);
  const int64_t stride = int64_t{x.panel} * 4;
  const int8_t* codes =
      x.codes + (panel * x.k + block.begin) * x.panel + row * 4;
  const float* x_scales = x.scales + panel * walk.x_groups * x.panel + row;
  const uint8_t* low = space.low;
  const uint8_t* high = space.high;
  int64_t segment = 0;
  for (int64_t k = block.begin; k < block.end; ++segment) {
    const int64_t last = walk.end(k);
    const int64_t stop = least(last, block.end);
    __m256i sum[4][2];
    if (k == walk.begin(k)) {
      const __m256i z0 = load(space.zeros[segment]);
      const __m256i z1 = load(space.zeros[segment] + 8);
#pragma GCC unroll 4
      for (int r = 0; r < 4; ++r) {
        const int32_t total = -code_sum(x, panel, row + r, k, last);
        if constexpr (kZeros) {
          const __m256i t = _mm256_set1_epi32(total);
          sum[r][0] = _mm256_mullo_epi32(z0, t);
          sum[r][1] = _mm256_mullo_epi32(z1, t);
        } else {
          sum[r][0] = sum[r][1] = _mm256_set1_epi32(offset * total);
        }
      }
    } else {
#pragma GCC unroll 4
      for (int r = 0; r < 4; ++r) {
        sum[r][0] = load(carried_at(space, block.rows, slot + r));
        sum[r][1] = load(carried_at(space, block.rows, slot + r) + 8);
      }
    }
    const int64_t chunks = (stop - k) >> kLowbitChunkShift;
    four_rows(low, codes, stride, chunks, _mm256_set1_epi16(1), sum);
    if constexpr (kHigh) {
      four_rows(high, codes, stride, chunks, _mm256_set1_epi16(16), sum);
    }
    low += chunks * kUnits * kUnitBytes;
    high += chunks * kUnits * kUnitBytes;
    codes += chunks * kUnits * stride;
    if (stop < last) {
      for (int r = 0; r < 4; ++r) {
        for (int h = 0; h < 2; ++h) {
          _mm256_storeu_si256(
              reinterpret_cast<__m256i*>(
                  carried_at(space, block.rows, slot + r) + 8 * h),
              sum[r][h]);
        }
      }
      return;
    }
    const __m256 s0 = _mm256_loadu_ps(space.scales[segment]);
    const __m256 s1 = _mm256_loadu_ps(space.scales[segment] + 8);
    const float* of_x = x_scales + walk.x_group(k) * x.panel;
#pragma GCC unroll 4
    for (int r = 0; r < 4; ++r) {
      const __m256 by = _mm256_set1_ps(x.group == 0 ? 1.0f : of_x[r]);
      float* acc = sums_at(space, slot + r);
      __m256 a0 = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum[r][0]),
                                  _mm256_mul_ps(s0, by),
                                  _mm256_loadu_ps(acc));
      __m256 a1 = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum[r][1]),
                                  _mm256_mul_ps(s1, by),
                                  _mm256_loadu_ps(acc + 8));
      if constexpr (kOffsets) {
        const int32_t total = code_sum(x, panel, row + r, walk.begin(k), last);
        const __m256 sum_x =
            _mm256_mul_ps(_mm256_set1_ps(static_cast<float>(total)), by);
        const float* offsets = space.offsets[segment];
        a0 = _mm256_fmadd_ps(sum_x, _mm256_loadu_ps(offsets), a0);
        a1 = _mm256_fmadd_ps(sum_x, _mm256_loadu_ps(offsets + 8), a1);
      }
      _mm256_storeu_ps(acc, a0);
      _mm256_storeu_ps(acc + 8, a1);
    }
    k = stop;
  }
}

// One tile against panels of 4 or 8 rows.
template <int kBits>
void panels_by_tile(const LinearLowbitArgs& args,
                    const LowbitWalk& walk,
                    int64_t tile,
                    Avx2Workspace& space) {
  const LowbitActivations& x = args.x;
  const int64_t panels = (x.m + x.panel - 1) / x.panel;
  const int64_t at_once = kAvx2Rows / x.panel;
  for (int64_t p0 = 0; p0 < panels; p0 += at_once) {
    const int64_t p1 = least(p0 + at_once, panels);
    const int64_t rows = (p1 - p0) * x.panel;
    memset(sums_at(space, 0), 0, static_cast<size_t>(rows) * sizeof(Avx2Sums));
    for (int64_t k = 0; k < args.w.k; k += kAvx2Block) {
      const Block block = {tile, k, least(k + kAvx2Block, args.w.k), rows};
      unpack<kBits>(args.w.codes + (tile * walk.chunks + k / kLowbitChunk) *
                                       kBits * kUnitBytes,
                    (block.end - k) / kLowbitChunk,
                    space);
      read_metadata(args.w, walk, block, space);
      const auto rows_of =
          args.w.offsets != nullptr ? block_rows<(kBits > 4), false, true>
          : args.w.zeros != nullptr ? block_rows<(kBits > 4), true, false>
                                    : block_rows<(kBits > 4), false, false>;
      for (int64_t p = p0; p < p1; ++p) {
        for (int64_t row = 0; row < x.panel; row += 4) {
          if (p * x.panel + row >= x.m) break;
          rows_of(args, walk, block, p, row, (p - p0) * x.panel + row, space);
        }
      }
    }
    for (int64_t p = p0; p < p1; ++p) {
      for (int64_t row = 0; row < x.panel; ++row) {
        const float* acc = sums_at(space, (p - p0) * x.panel + row);
        for (int h = 0; h < 2; ++h) {
          finish(args,
                 p,
                 row,
                 tile * kLowbitTile + 8 * h,
                 _mm256_loadu_ps(acc + 8 * h));
        }
      }
    }
  }
}

template <int kBits, LowbitForm kForm>
void run(const LinearLowbitArgs& args, const LinearLowbitTiles& tiles) {
  const LowbitWalk walk(args);
  for (int64_t tile = tiles.begin; tile < tiles.end; ++tile) {
    if (args.x.panel == 1) {
      rows_by_tile<kBits, 1, kForm>(args, walk, tile);
    } else if (args.x.panel == 2) {
      rows_by_tile<kBits, 2, kForm>(args, walk, tile);
    } else {
      panels_by_tile<kBits>(
          args, walk, tile, *static_cast<Avx2Workspace*>(tiles.workspace));
    }
  }
}

template <int kBits>
void run(const LinearLowbitArgs& args, const LinearLowbitTiles& tiles) {
  if constexpr (kBits == 4 || kBits == 5) {
    if (args.w.factors != nullptr) {
      return run<kBits, LowbitForm::Levels>(args, tiles);
    }
  }
  if (args.w.offsets != nullptr) {
    return run<kBits, LowbitForm::Offsets>(args, tiles);
  }
  run<kBits, LowbitForm::Plain>(args, tiles);
}

}  // namespace

void run_linear_lowbit_avx2(const LinearLowbitArgs& args,
                            const LinearLowbitTiles& tiles) {
  if (args.w.group < kLowbitChunk) {
    return run_linear_lowbit_halves_avx2(args, tiles);
  }
  switch (args.w.bits) {
    case 1:
      return run<1>(args, tiles);
    case 2:
      return run<2>(args, tiles);
    case 3:
      return run<3>(args, tiles);
    case 4:
      return run<4>(args, tiles);
    case 5:
      return run<5>(args, tiles);
    case 6:
      return run<6>(args, tiles);
    case 7:
      return run<7>(args, tiles);
    default:
      return run<8>(args, tiles);
  }
}

}  // namespace mantissa::kernels
