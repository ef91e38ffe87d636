#include <immintrin.h>

#include "kernels/cpu/lowbit_groups_avx512bf16.h"
#include "kernels/cpu/lowbit_reading.h"
#include "kernels/cpu/lowbit_staged_avx512bf16.h"
#include "kernels/linear_lowbit_bf16_args.h"

namespace mantissa::kernels {
namespace {

// The tiles of a way to read codes, `apart` tiles from one to the next, against
// a panel of 1, 2 or 4 rows.
template <LowbitCode kCode, int kBits, int kRows, class Reading, bool kOffsets>
void rows_by_tiles(const LinearLowbitBf16Args& args,
                   const Groups& shared_groups,
                   const Tables& shared,
                   const RangeEnd& range,
                   int64_t tile,
                   int64_t apart) {
  constexpr int kTiles = Reading::kTiles;
  constexpr int kChains = 4;
  // Copies: the stores below could change what a reference names.
  const Groups groups = shared_groups;
  const Tables tables = shared;
  const LowbitWeightView w = args.w;
  const int64_t of_tile = w.k / kLowbitChunk * kBits * kUnitBytes;
  const int64_t next = apart * of_tile;
  const uint8_t* chunk = w.codes + tile * of_tile;
  Reading reading(range, chunk);
  const uint16_t* x = args.x.values;
  __m512 acc[kTiles][kRows];
  for (auto& rows : acc) {
    for (__m512& row : rows) row = _mm512_setzero_ps();
  }
  for (int64_t g = 0; g < groups.count; ++g) {
    __m512 sum[kTiles][kRows][kChains];
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
      const __m512 less =
          kCode == LowbitCode::Integer
              ? _mm512_set1_ps(minus_sum<kRows>(
                    args.x.sums, r, g * groups.chunks, groups.chunks))
              : _mm512_setzero_ps();
#pragma GCC unroll 4
      for (int t = 0; t < kTiles; ++t) {
#pragma GCC unroll 4
        for (int c = 0; c < kChains; ++c) sum[t][r][c] = _mm512_setzero_ps();
        if constexpr (kCode == LowbitCode::Integer) {
          const int64_t at =
              ((tile + t * apart) * groups.count + g) * kLowbitTile;
          sum[t][r][0] =
              _mm512_mul_ps(offset_of<kCode, kBits, Way::Magic>(w, at), less);
        }
      }
    }
    for (int64_t c = groups.chunks; c > 0; --c) {
#pragma GCC unroll 4
      for (int t = 0; t < kTiles; ++t) reading.fetch(chunk + t * next);
#pragma GCC unroll 8
      for (int u = 0; u < kUnits; ++u) {
        Pairs codes[kTiles];
#pragma GCC unroll 4
        for (int t = 0; t < kTiles; ++t) {
          codes[t] =
              pairs<kCode, kBits, Way::Magic>(chunk + t * next, u, tables);
        }
#pragma GCC unroll 4
        for (int r = 0; r < kRows; ++r) {
          const uint16_t* four = x + (u * kRows + r) * 4;
          if constexpr (kTiles == 1) {
            add_products(sum[0][r][2 * u % kChains], codes[0].even, four);
            add_products(
                sum[0][r][(2 * u + 1) % kChains], codes[0].odd, four + 2);
            continue;
          }
          const __m512bh even = broadcast(four);
          const __m512bh odd = broadcast(four + 2);
#pragma GCC unroll 4
          for (int t = 0; t < kTiles; ++t) {
            add_products(sum[t][r][2 * u % kChains], codes[t].even, even);
            add_products(sum[t][r][(2 * u + 1) % kChains], codes[t].odd, odd);
          }
        }
      }
      chunk += kBits * kUnitBytes;
      x += kLowbitChunk * kRows;
    }
#pragma GCC unroll 4
    for (int t = 0; t < kTiles; ++t) {
      const __m512 scale = group_level<kOffsets>(
          w, groups, w.scales, w.factors, tile + t * apart, g);
      __m512 offsets = scale;
      if constexpr (kOffsets) {
        offsets = group_level<kOffsets>(
            w, groups, w.offsets, w.offset_factors, tile + t * apart, g);
      }
#pragma GCC unroll 4
      for (int r = 0; r < kRows; ++r) {
        const __m512(&parts)[kChains] = sum[t][r];
        const __m512 total = _mm512_add_ps(_mm512_add_ps(parts[0], parts[1]),
                                           _mm512_add_ps(parts[2], parts[3]));
        acc[t][r] = _mm512_fmadd_ps(total, scale, acc[t][r]);
        if constexpr (kOffsets) {
          const float less = minus_sum<kRows>(
              args.x.sums, r, g * groups.chunks, groups.chunks);
          acc[t][r] =
              _mm512_fnmadd_ps(_mm512_set1_ps(less), offsets, acc[t][r]);
        }
      }
    }
  }
  for (int t = 0; t < kTiles; ++t) {
    for (int r = 0; r < kRows; ++r) {
      finish(args, r, (tile + t * apart) * kLowbitTile, acc[t][r]);
    }
  }
}

// Tiles against a panel of 1, 2 or 4 rows.
template <LowbitCode kCode, int kBits, int kRows, bool kOffsets>
void few_rows(const LinearLowbitBf16Args& args,
              const Groups& groups,
              const Tables& tables,
              const LinearLowbitTiles& part) {
  const int64_t tile_bytes = args.w.k / kLowbitChunk * kBits * kUnitBytes;
  const RangeEnd range(args.w.codes, tile_bytes, part);
  const auto run = [&](auto way, int64_t tile, int64_t apart) {
    rows_by_tiles<kCode, kBits, kRows, typename decltype(way)::Type, kOffsets>(
        args, groups, tables, range, tile, apart);
  };
  if constexpr (kRows == 1) {
    static Pace paces[2];  // in groups of 32 values, and of more
    in_the_fastest_way<kBits>(paces[groups.chunks > 1], part, tile_bytes, run);
  } else {
    each_tiles<kBits, SecondCache<kBits>>(part, run);
  }
}

// What the sums of a group of 8 rows begin with, for each of kTiles tiles, at
// `at`.
template <LowbitCode kCode, int kBits, Way kWay, int kTiles>
inline void start_panel(const LowbitWeightView& w,
                        const int64_t (&at)[kTiles],
                        const float* sums,
                        int64_t chunks,
                        __m512 (&sum)[kTiles][8]) {
  if (kCode != LowbitCode::Integer ||
      (kWay == Way::Table && w.zeros == nullptr && !w.from_zero)) {
#pragma GCC unroll 2
    for (int t = 0; t < kTiles; ++t) {
#pragma GCC unroll 8
      for (int r = 0; r < 8; ++r) sum[t][r] = _mm512_setzero_ps();
    }
  } else {
    alignas(32) float from[8];
    _mm256_store_ps(from, minus_sums(sums, chunks));
    __m512 offset[kTiles];
#pragma GCC unroll 2
    for (int t = 0; t < kTiles; ++t) {
      offset[t] = offset_of<kCode, kBits, kWay>(w, at[t]);
    }
#pragma GCC unroll 8
    for (int r = 0; r < 8; ++r) {
      const __m512 by = _mm512_set1_ps(from[r]);
#pragma GCC unroll 2
      for (int t = 0; t < kTiles; ++t) {
        sum[t][r] = _mm512_mul_ps(offset[t], by);
      }
    }
  }
}

// kTiles tiles against kPanels panels of 8 rows, from `panel` on: 16 sums of 16
// columns. A Zen 4 loads one vector a cycle and multiplies one: two tiles share
// each value of x that is loaded, two panels each code. Codes are unpacked in
// the call, a unit ahead of its products: longer than the scheduler of a
// Zen 4 looks (int8, 16 rows: 0.70 -> 0.89 of the peak).
template <LowbitCode kCode, int kBits, int kTiles, int kPanels, bool kOffsets>
[[gnu::noinline]] void panels_by_tiles(const LinearLowbitBf16Args& args,
                                       const Groups& shared_groups,
                                       const Tables& shared,
                                       int64_t tile,
                                       int64_t panel) {
  constexpr Way kWay = way_of_panels<kBits>();
  // Copies: the stores below could change what a reference names.
  const Groups groups = shared_groups;
  const Tables tables = shared;
  const LowbitWeightView w = args.w;
  const int64_t stride = args.x.k * 8;  // values of a panel
  const int64_t chunks = args.x.k / kLowbitChunk;
  const int64_t next_tile = chunks * kBits * kUnitBytes;
  const bool first = panel == 0;  // from memory, if any is
  const uint8_t* chunk = w.codes + tile * next_tile;
  const uint16_t* x[kPanels];
  for (int p = 0; p < kPanels; ++p) {
    x[p] = args.x.values + (panel + p) * stride;
  }
  const float* sums = args.x.sums + panel * chunks * 8;
  alignas(64) float acc[kPanels][kTiles][8][kLowbitTile] = {};
  const uint8_t* stop = chunk + next_tile;
  Pairs codes[kTiles];
  for (int t = 0; t < kTiles; ++t) {
    codes[t] = pairs<kCode, kBits, kWay>(chunk + t * next_tile, 0, tables);
  }
  for (int64_t g = 0; g < groups.count; ++g) {
    int64_t at[kTiles];
    for (int t = 0; t < kTiles; ++t) {
      at[t] = ((tile + t) * groups.count + g) * kLowbitTile;
    }
    __m512 sum[kPanels][kTiles][8];
#pragma GCC unroll 2
    for (int p = 0; p < kPanels; ++p) {
      start_panel<kCode, kBits, kWay>(
          w,
          at,
          sums + (p * chunks + g * groups.chunks) * 8,
          groups.chunks,
          sum[p]);
    }
    for (int64_t c = groups.chunks; c > 0; --c) {
      if (first) {
        for (int t = 0; t < kTiles; ++t) {
          fetch_ahead<kBits, Fetch::Second>(chunk + t * next_tile);
        }
      }
      const uint8_t* after = chunk + kBits * kUnitBytes;
      if (after == stop) after = chunk;
#pragma GCC unroll 8
      for (int u = 0; u < kUnits; ++u) {
        Pairs next[kTiles];
#pragma GCC unroll 2
        for (int t = 0; t < kTiles; ++t) {
          next[t] = u + 1 < kUnits ? pairs<kCode, kBits, kWay>(
                                         chunk + t * next_tile, u + 1, tables)
                                   : pairs<kCode, kBits, kWay>(
                                         after + t * next_tile, 0, tables);
          __asm__ volatile("" : "+v"(next[t].even), "+v"(next[t].odd));
        }
#pragma GCC unroll 2
        for (int p = 0; p < kPanels; ++p) {
          // GCC would keep a pointer for each row.
          __asm__("" : "+r"(x[p]));
          add_unit(codes, x[p], sum[p]);
          x[p] += 4 * 8;
        }
#pragma GCC unroll 2
        for (int t = 0; t < kTiles; ++t) codes[t] = next[t];
      }
      chunk += kBits * kUnitBytes;
    }
    end_group<kTiles, kPanels, kOffsets>(w,
                                         groups,
                                         tile,
                                         g,
                                         sums + g * groups.chunks * 8,
                                         chunks,
                                         sum,
                                         acc[0][0][0]);
  }
  for (int p = 0; p < kPanels; ++p) {
    for (int t = 0; t < kTiles; ++t) {
      for (int r = 0; r < 8; ++r) {
        finish(args,
               (panel + p) * 8 + r,
               (tile + t) * kLowbitTile,
               _mm512_load_ps(acc[p][t][r]));
      }
    }
  }
}

// Tiles [begin, end) against all panels of 8 rows. Panels share codes where
// there are two, which read each code once, from memory; and codes of 8 bits,
// which cost most to unpack.
template <LowbitCode kCode, int kBits, bool kOffsets>
void all_panels(const LinearLowbitBf16Args& args,
                const Groups& groups,
                const Tables& tables,
                int64_t begin,
                int64_t end) {
  const int64_t panels = (args.x.m + 7) / 8;
  for (int64_t p = 0; p < panels;) {
    int64_t tile = begin;
    if ((kBits == 8 || panels == 2) && p + 1 < panels) {
      for (; tile < end; ++tile) {
        panels_by_tiles<kCode, kBits, 1, 2, kOffsets>(
            args, groups, tables, tile, p);
      }
      p += 2;
      continue;
    }
    for (; tile + 1 < end; tile += 2) {
      panels_by_tiles<kCode, kBits, 2, 1, kOffsets>(
          args, groups, tables, tile, p);
    }
    if (tile < end) {
      panels_by_tiles<kCode, kBits, 1, 1, kOffsets>(
          args, groups, tables, tile, p);
    }
    ++p;
  }
}

template <LowbitCode kCode, int kBits, bool kOffsets>
void run(const LinearLowbitBf16Args& args, const LinearLowbitTiles& tiles) {
  const Groups groups(args.w);
  const Tables tables = make_tables<kCode, kBits>();
  switch (args.x.panel) {
    case 1:
      return few_rows<kCode, kBits, 1, kOffsets>(args, groups, tables, tiles);
    case 2:
      return few_rows<kCode, kBits, 2, kOffsets>(args, groups, tables, tiles);
    case 4:
      return few_rows<kCode, kBits, 4, kOffsets>(args, groups, tables, tiles);
    default:
      break;
  }
  if (stages_codes(args.x.m, kBits, args.w.group)) {
    staged_panels<kCode, kBits, kOffsets>(args, groups, tables, tiles);
    return;
  }
  for (int64_t tile = tiles.begin; tile < tiles.end;) {
    const int64_t end = least(tile + kTilesAtOnce, tiles.end);
    all_panels<kCode, kBits, kOffsets>(args, groups, tables, tile, end);
    tile = end;
  }
}

template <int kBits>
void run_integers(const LinearLowbitBf16Args& args,
                  const LinearLowbitTiles& tiles) {
  if (args.w.offsets != nullptr) {
    return run<LowbitCode::Integer, kBits, true>(args, tiles);
  }
  run<LowbitCode::Integer, kBits, false>(args, tiles);
}

}  // namespace

void run_linear_lowbit_bf16_avx512bf16(const LinearLowbitBf16Args& args,
                                       const LinearLowbitTiles& tiles) {
  using enum LowbitCode;
  if (args.w.code == E4m3) return run<E4m3, 8, false>(args, tiles);
  if (args.w.code == E5m2) return run<E5m2, 8, false>(args, tiles);
  switch (args.w.bits) {
    case 1:
      return run_integers<1>(args, tiles);
    case 2:
      return run_integers<2>(args, tiles);
    case 3:
      return run_integers<3>(args, tiles);
    case 4:
      return run_integers<4>(args, tiles);
    case 5:
      return run_integers<5>(args, tiles);
    case 6:
      return run_integers<6>(args, tiles);
    case 7:
      return run_integers<7>(args, tiles);
    default:
      return run_integers<8>(args, tiles);
  }
}

}  // namespace mantissa::kernels
