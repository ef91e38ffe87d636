#include <immintrin.h>

#include "kernels/cpu/lowbit_products_avx512.h"
#include "kernels/cpu/lowbit_reading.h"

namespace mantissa::kernels {
namespace {

// -(sum of x) * (zero + lowbit_middle()) of 16 columns: what a sum begins with.
inline __m512i start(const LowbitWeightView& w, int64_t at, int32_t sum) {
  if (w.zeros == nullptr) {
    return _mm512_set1_epi32(-sum * lowbit_middle(w));
  }
  return _mm512_mullo_epi32(zeros_of(w, at), _mm512_set1_epi32(-sum));
}

// Scales, and offsets, of the group at k.
template <LowbitForm kForm>
inline __m512 group_scales(const LowbitWeightView& w,
                           const LowbitWalk& walk,
                           int64_t tile,
                           int64_t k) {
  const int64_t at = walk.place(tile, k);
  if constexpr (kForm != LowbitForm::Levels) return scales_of(w, at);
  return leveled(
      w.scale_type, w.scales, walk.super_place(tile, k), w.factors, at);
}

template <LowbitForm kForm>
inline __m512 group_offsets(const LowbitWeightView& w,
                            const LowbitWalk& walk,
                            int64_t tile,
                            int64_t k) {
  const int64_t at = walk.place(tile, k);
  if constexpr (kForm != LowbitForm::Levels) return offsets_of(w, at);
  return leveled(
      w.scale_type, w.offsets, walk.super_place(tile, k), w.offset_factors, at);
}

// sum += codes times 4 values of x, in one instruction: GCC would load them in
// another.
inline void add_products(__m512i& sum, __m512i codes, const int8_t* four) {
  __asm__("vpdpbusd %2%{1to16%}, %1, %0"
          : "+v"(sum)
          : "v"(codes), "m"(*reinterpret_cast<const int8_t(*)[4]>(four)));
}

// The tiles of a way to read codes, `apart` tiles from one to the next, against
// a panel of 1, 2 or 4 rows. kShort: segments are single chunks.
template <int kBits, int kRowsOf, class Way, LowbitForm kForm, bool kShort>
void rows_by_tiles(const LinearLowbitArgs& args,
                   const LowbitWalk& shared_walk,
                   const RangeEnd& range,
                   int64_t tile,
                   int64_t apart) {
  constexpr int kTiles = Way::kTiles;
  constexpr int kChains = kRowsOf * kTiles <= 2 ? 2 : 1;
  // Copies: the stores below could change what a reference names.
  const LowbitWalk walk = shared_walk;
  const LowbitWeightView w = args.w;
  const LowbitActivations x = args.x;
  const int64_t next = apart * walk.chunks * kBits * kUnitBytes;
  const uint8_t* chunk = w.codes + tile * walk.chunks * kBits * kUnitBytes;
  Way reading(range, chunk);
  const int8_t* codes = x.codes;
  __m512 acc[kTiles][kRowsOf];
  for (auto& of_tile : acc) {
    for (__m512& row : of_tile) row = _mm512_setzero_ps();
  }
  for (int64_t k = 0; k < w.k;) {
    const int64_t end = kShort ? k + kLowbitChunk : walk.end(k);
    // Loops that are not unrolled would keep the sums in memory.
    int32_t sum_of_x[kRowsOf];
#pragma GCC unroll 4
    for (int r = 0; r < kRowsOf; ++r) {
      sum_of_x[r] = kShort ? x.sums[k / kLowbitChunk * kRowsOf + r]
                           : code_sum(x, 0, r, k, end);
    }
    __m512i sum[kTiles][kRowsOf][kChains];
#pragma GCC unroll 4
    for (int t = 0; t < kTiles; ++t) {
#pragma GCC unroll 4
      for (int r = 0; r < kRowsOf; ++r) {
        sum[t][r][0] = start(w, walk.place(tile + t * apart, k), sum_of_x[r]);
        for (int c = 1; c < kChains; ++c) {
          sum[t][r][c] = _mm512_setzero_si512();
        }
      }
    }
    int64_t c = k;
    do {
#pragma GCC unroll 4
      for (int t = 0; t < kTiles; ++t) {
        reading.fetch(chunk + t * next);
      }
#pragma GCC unroll 8
      for (int u = 0; u < kUnits; ++u) {
        __m512i codes_of[kTiles];
#pragma GCC unroll 4
        for (int t = 0; t < kTiles; ++t) {
          codes_of[t] = unit<kBits>(chunk + t * next, u);
        }
#pragma GCC unroll 4
        for (int r = 0; r < kRowsOf; ++r) {
          const int8_t* four = codes + (u * kRowsOf + r) * 4;
          if constexpr (kTiles == 1) {
            add_products(sum[0][r][u % kChains], codes_of[0], four);
            continue;
          }
          const __m512i values = broadcast(four);
#pragma GCC unroll 4
          for (int t = 0; t < kTiles; ++t) {
            __m512i& to = sum[t][r][u % kChains];
            to = _mm512_dpbusd_epi32(to, codes_of[t], values);
            pin(to);
          }
        }
      }
      chunk += kBits * kUnitBytes;
      codes += kLowbitChunk * kRowsOf;
      c += kLowbitChunk;
    } while (!kShort && c < end);
#pragma GCC unroll 4
    for (int t = 0; t < kTiles; ++t) {
      const __m512 scale = group_scales<kForm>(w, walk, tile + t * apart, k);
#pragma GCC unroll 4
      for (int r = 0; r < kRowsOf; ++r) {
        __m512i total = sum[t][r][0];
        for (int i = 1; i < kChains; ++i) {
          total = _mm512_add_epi32(total, sum[t][r][i]);
        }
        const float by =
            x.group == 0 ? 1.0f : x.scales[walk.x_group(k) * kRowsOf + r];
        const __m512 s =
            x.group == 0 ? scale : _mm512_mul_ps(scale, _mm512_set1_ps(by));
        acc[t][r] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(total), s, acc[t][r]);
        if constexpr (kForm != LowbitForm::Plain) {
          acc[t][r] =
              add_offset(acc[t][r],
                         sum_of_x[r],
                         by,
                         group_offsets<kForm>(w, walk, tile + t * apart, k));
        }
      }
    }
    k = end;
  }
  for (int t = 0; t < kTiles; ++t) {
    for (int r = 0; r < kRowsOf; ++r) {
      finish(args, 0, r, (tile + t * apart) * kLowbitTile, acc[t][r]);
    }
  }
}

// Tiles against a panel of 1, 2 or 4 rows.
template <int kBits, int kRowsOf, LowbitForm kForm, bool kShort = false>
void few_rows(const LinearLowbitArgs& args,
              const LowbitWalk& walk,
              const LinearLowbitTiles& tiles) {
  const int64_t tile_bytes = walk.chunks * kBits * kUnitBytes;
  const RangeEnd range(args.w.codes, tile_bytes, tiles);
  const auto run = [&](auto way, int64_t tile, int64_t apart) {
    rows_by_tiles<kBits, kRowsOf, typename decltype(way)::Type, kForm, kShort>(
        args, walk, range, tile, apart);
  };
  if constexpr (kRowsOf == 1) {
    static Pace pace;
    in_the_fastest_way<kBits>(pace, tiles, tile_bytes, run);
  } else if constexpr (kRowsOf == 2 && kBits == 8) {
    // As one row: 1.2 to 1.4 times as fast with one thread.
    each_tiles<kBits, Streams<kBits>>(tiles, run);
  } else if constexpr (kRowsOf == 4 && kBits == 8) {
    if ((tiles.end - tiles.begin) * tile_bytes < kMeasuredRange) {
      each_tiles<kBits, SecondCache<kBits>>(tiles, run);
    } else {
      each_tiles<kBits, FourStreams<kBits>>(tiles, run);
    }
  } else {
    each_tiles<kBits, SecondCache<kBits>>(tiles, run);
  }
}

// Sums of the codes of 8 rows over some chunks.
inline __m256i panel_sums(const int32_t* sums, int64_t chunks) {
  __m256i total = _mm256_setzero_si256();
  for (int64_t c = 0; c < chunks; ++c) {
    total = _mm256_add_epi32(
        total,
        _mm256_loadu_si256(reinterpret_cast<const __m256i*>(sums + c * 8)));
  }
  return total;
}

// What the sums of a segment of 8 rows begin with: minus the sums of x, times
// zero + lowbit_middle(), for each of kTiles tiles, at `at`.
template <int kTiles>
inline void start_panel(const LowbitWeightView& w,
                        const int64_t (&at)[kTiles],
                        const int32_t* x_sums,
                        int64_t chunks,
                        __m512i (&sum)[kTiles][8]) {
  alignas(32) int32_t from[8];
  __m256i total =
      _mm256_sub_epi32(_mm256_setzero_si256(), panel_sums(x_sums, chunks));
  if (w.zeros == nullptr) {
    total = w.from_zero ? _mm256_setzero_si256()
                        : _mm256_slli_epi32(total, w.bits - 1);
  }
  _mm256_store_si256(reinterpret_cast<__m256i*>(from), total);
  if (w.zeros == nullptr) {
#pragma GCC unroll 8
    for (int r = 0; r < 8; ++r) {
      for (int t = 0; t < kTiles; ++t) sum[t][r] = _mm512_set1_epi32(from[r]);
    }
    return;
  }
  __m512i zeros[kTiles];
  for (int t = 0; t < kTiles; ++t) zeros[t] = zeros_of(w, at[t]);
#pragma GCC unroll 8
  for (int r = 0; r < 8; ++r) {
    const __m512i by = _mm512_set1_epi32(from[r]);
#pragma GCC unroll 2
    for (int t = 0; t < kTiles; ++t) {
      sum[t][r] = _mm512_mullo_epi32(zeros[t], by);
    }
  }
}

// kTiles tiles against kPanels panels of 8 rows, from `panel` on: 16 sums of 16
// columns. A Zen 4 loads one vector a cycle and multiplies one: two tiles share
// each value of x that is loaded, two panels each code. Codes are unpacked anew
// for each call: that costs less than to write them and to read them back.
template <int kBits, int kTiles, int kPanels, LowbitForm kForm>
void panels_by_tiles(const LinearLowbitArgs& args,
                     const LowbitWalk& shared_walk,
                     int64_t tile,
                     int64_t panel) {
  // Copies: the stores below could change what a reference names.
  const LowbitWalk walk = shared_walk;
  const LowbitWeightView w = args.w;
  const LowbitActivations x = args.x;
  const int64_t stride = x.k * 8;                         // codes of a panel
  const int64_t next = walk.chunks * kBits * kUnitBytes;  // tile
  const bool first = panel == 0;  // from memory, if any is
  const uint8_t* chunk = w.codes + tile * next;
  const int8_t* codes = x.codes + panel * stride;
  alignas(64) float acc[kPanels][kTiles][8][kLowbitTile] = {};
  for (int64_t k = 0; k < w.k;) {
    const int64_t end = walk.end(k);
    int64_t at[kTiles];
    for (int t = 0; t < kTiles; ++t) at[t] = walk.place(tile + t, k);
    __m512i sum[kPanels][kTiles][8];
#pragma GCC unroll 2
    for (int p = 0; p < kPanels; ++p) {
      start_panel(w,
                  at,
                  x.sums + ((panel + p) * walk.chunks + k / kLowbitChunk) * 8,
                  (end - k) / kLowbitChunk,
                  sum[p]);
    }
    for (int64_t c = k; c < end; c += kLowbitChunk) {
      if (first) {
        for (int t = 0; t < kTiles; ++t) {
          fetch_ahead<kBits, Fetch::Second>(chunk + t * next);
        }
      }
#pragma GCC unroll 8
      for (int u = 0; u < kUnits; ++u) {
        __m512i codes_of[kTiles];
#pragma GCC unroll 2
        for (int t = 0; t < kTiles; ++t) {
          codes_of[t] = unit<kBits>(chunk + t * next, u);
        }
#pragma GCC unroll 2
        for (int p = 0; p < kPanels; ++p) {
#pragma GCC unroll 8
          for (int r = 0; r < 8; ++r) {
            const __m512i four =
                broadcast(codes + p * stride + (u * 8 + r) * 4);
#pragma GCC unroll 2
            for (int t = 0; t < kTiles; ++t) {
              sum[p][t][r] =
                  _mm512_dpbusd_epi32(sum[p][t][r], codes_of[t], four);
              pin(sum[p][t][r]);
            }
          }
        }
      }
      chunk += kBits * kUnitBytes;
      codes += kLowbitChunk * 8;
    }
    __m512 scale[kTiles];
    __m512 offsets[kTiles];
#pragma GCC unroll 2
    for (int t = 0; t < kTiles; ++t) {
      scale[t] = group_scales<kForm>(w, walk, tile + t, k);
      if constexpr (kForm != LowbitForm::Plain) {
        offsets[t] = group_offsets<kForm>(w, walk, tile + t, k);
      }
    }
    float* to = acc[0][0][0];
    __asm__("" : "+r"(to));  // GCC would keep a pointer for each row
#pragma GCC unroll 2
    for (int p = 0; p < kPanels; ++p) {
      const float* of_x =
          x.scales + ((panel + p) * walk.x_groups + walk.x_group(k)) * 8;
      alignas(32) float shifts[8];  // what the offsets are multiplied by
      if constexpr (kForm != LowbitForm::Plain) {
        __m256 sums = _mm256_cvtepi32_ps(panel_sums(
            x.sums + ((panel + p) * walk.chunks + k / kLowbitChunk) * 8,
            (end - k) / kLowbitChunk));
        if (x.group != 0) sums = _mm256_mul_ps(sums, _mm256_loadu_ps(of_x));
        _mm256_store_ps(shifts, sums);
      }
#pragma GCC unroll 8
      for (int r = 0; r < 8; ++r) {
#pragma GCC unroll 2
        for (int t = 0; t < kTiles; ++t) {
          const __m512 by =
              x.group == 0 ? scale[t]
                           : _mm512_mul_ps(scale[t], _mm512_set1_ps(of_x[r]));
          float* row = to + ((p * kTiles + t) * 8 + r) * kLowbitTile;
          __m512 added = _mm512_fmadd_ps(
              _mm512_cvtepi32_ps(sum[p][t][r]), by, _mm512_load_ps(row));
          if constexpr (kForm != LowbitForm::Plain) {
            added =
                _mm512_fmadd_ps(_mm512_set1_ps(shifts[r]), offsets[t], added);
          }
          _mm512_store_ps(row, added);
        }
      }
    }
    k = end;
  }
  for (int p = 0; p < kPanels; ++p) {
    for (int t = 0; t < kTiles; ++t) {
      for (int r = 0; r < 8; ++r) {
        finish(args,
               panel + p,
               r,
               (tile + t) * kLowbitTile,
               _mm512_load_ps(acc[p][t][r]));
      }
    }
  }
}

// Tiles [begin, end) against all panels of 8 rows. Two panels read every code
// once, from memory; more read them from a cache.
template <int kBits, LowbitForm kForm>
void all_panels(const LinearLowbitArgs& args,
                const LowbitWalk& walk,
                int64_t begin,
                int64_t end) {
  const int64_t panels = (args.x.m + 7) / 8;
  if (panels == 2) {
    for (int64_t tile = begin; tile < end; ++tile) {
      panels_by_tiles<kBits, 1, 2, kForm>(args, walk, tile, 0);
    }
    return;
  }
  for (int64_t p = 0; p < panels; ++p) {
    int64_t tile = begin;
    for (; tile + 1 < end; tile += 2) {
      panels_by_tiles<kBits, 2, 1, kForm>(args, walk, tile, p);
    }
    if (tile < end) panels_by_tiles<kBits, 1, 1, kForm>(args, walk, tile, p);
  }
}

template <int kBits, LowbitForm kForm>
void run(const LinearLowbitArgs& args, const LinearLowbitTiles& tiles) {
  const LowbitWalk walk(args);
  switch (args.x.panel) {
    case 1:
      return walk.step_shift == kLowbitChunkShift
                 ? few_rows<kBits, 1, kForm, true>(args, walk, tiles)
                 : few_rows<kBits, 1, kForm>(args, walk, tiles);
    case 2:
      return few_rows<kBits, 2, kForm>(args, walk, tiles);
    case 4:
      return few_rows<kBits, 4, kForm>(args, walk, tiles);
    default:
      break;
  }
  for (int64_t tile = tiles.begin; tile < tiles.end;) {
    const int64_t end = least(tile + kTilesAtOnce, tiles.end);
    all_panels<kBits, kForm>(args, walk, tile, end);
    tile = end;
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

void run_linear_lowbit_avx512vnni(const LinearLowbitArgs& args,
                                  const LinearLowbitTiles& tiles) {
  if (args.w.group < kLowbitChunk) {
    return run_linear_lowbit_halves_avx512vnni(args, tiles);
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
