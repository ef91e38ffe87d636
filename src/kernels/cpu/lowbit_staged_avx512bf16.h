#pragma once

// linear_lowbit_bf16 for many rows, whose codes are unpacked before, a block of
// K at a time, once for up to 64 panels of 8 rows. Only C headers here:
// instruction-set files include this.
#include <immintrin.h>
#include <string.h>

#include "kernels/cpu/lowbit_groups_avx512bf16.h"
#include "kernels/cpu/lowbit_workspaces.h"

namespace mantissa::kernels {
namespace {

// Pairs minus `offset`, whole numbers or halves that bfloat16 holds.
inline __m512i less(__m512i pairs, __m512 offset) {
  const __m512i high = _mm512_set1_epi32(static_cast<int>(0xffff0000));
  const __m512 first =
      _mm512_sub_ps(_mm512_castsi512_ps(_mm512_slli_epi32(pairs, 16)), offset);
  const __m512 second =
      _mm512_sub_ps(_mm512_castsi512_ps(_mm512_and_si512(pairs, high)), offset);
  return _mm512_ternarylogic_epi32(
      high,
      _mm512_castps_si512(second),
      _mm512_srli_epi32(_mm512_castps_si512(first), 16),
      0xca);
}

// Codes of kTiles tiles in groups [begin, end), less their zero points.
template <LowbitCode kCode, int kBits, int kTiles>
void stage_codes(const LowbitWeightView& w,
                 const Groups& groups,
                 const Tables& shared,
                 int64_t tile,
                 int64_t begin,
                 int64_t end,
                 uint16_t* to) {
  constexpr Way kWay = way_of_panels<kBits>();
  const Tables tables = shared;
  const bool shifts = kCode == LowbitCode::Integer &&
                      (kWay == Way::Magic || w.zeros != nullptr || w.from_zero);
  for (int64_t g = begin; g < end; ++g) {
    __m512 offset[kTiles];
    for (int t = 0; t < kTiles; ++t) {
      const int64_t at = ((tile + t) * groups.count + g) * kLowbitTile;
      offset[t] =
          shifts ? offset_of<kCode, kBits, kWay>(w, at) : _mm512_setzero_ps();
    }
    for (int64_t c = 0; c < groups.chunks; ++c) {
      for (int t = 0; t < kTiles; ++t) {
        const int64_t at = ((tile + t) * groups.count + g) * groups.chunks + c;
        const uint8_t* chunk = w.codes + at * kBits * kUnitBytes;
        fetch_ahead<kBits, Fetch::Second>(chunk);
#pragma GCC unroll 8
        for (int u = 0; u < kUnits; ++u) {
          Pairs codes = pairs<kCode, kBits, kWay>(chunk, u, tables);
          if (shifts) {
            codes = {less(codes.even, offset[t]), less(codes.odd, offset[t])};
          }
          uint16_t* unit = to + (u * kTiles + t) * 64;
          _mm512_store_si512(unit, codes.even);
          _mm512_store_si512(unit + 32, codes.odd);
        }
      }
      to += kUnits * kTiles * 64;
    }
  }
}

// x of a panel of 8 rows, and its sums, from a group on.
struct PanelFrom {
  const uint16_t* x;
  const float* sums;

  PanelFrom(const LowbitBf16s& all,
            const Groups& groups,
            int64_t panel,
            int64_t group)
      : x(all.values +
          (panel * all.k + group * groups.chunks * kLowbitChunk) * 8),
        sums(all.sums +
             (panel * (all.k / kLowbitChunk) + group * groups.chunks) * 8) {}
};

// A unit of each tile, and x of the next panel asked for.
template <int kTiles>
[[gnu::always_inline]] inline void read_unit(const uint16_t*& codes,
                                             const uint16_t* next_x,
                                             Pairs (&unit)[kTiles]) {
#pragma GCC unroll 2
  for (int t = 0; t < kTiles; ++t) {
    unit[t] = {load(codes), load(codes + 32)};
    codes += 64;
  }
  fetch_line<Fetch::Second>(reinterpret_cast<const uint8_t*>(next_x));
}

// What stage_codes() made of groups [begin, end) against a panel of 8 rows.
template <int kTiles, bool kOffsets>
[[gnu::noinline]] void panel_by_staged(const LinearLowbitBf16Args& args,
                                       const Groups& shared_groups,
                                       int64_t tile,
                                       int64_t panel,
                                       int64_t begin,
                                       int64_t end,
                                       const uint16_t* codes,
                                       float* acc) {
  // Copies: the stores below could change what a reference names.
  const Groups groups = shared_groups;
  const LowbitWeightView w = args.w;
  const int64_t next = args.x.k * 8;  // panel
  const PanelFrom from(args.x, groups, panel, begin);
  const uint16_t* x = from.x;
  const float* sums = from.sums;
  for (int64_t g = begin; g < end; ++g) {
    __m512 sum[1][kTiles][8];
#pragma GCC unroll 2
    for (int t = 0; t < kTiles; ++t) {
#pragma GCC unroll 8
      for (int r = 0; r < 8; ++r) sum[0][t][r] = _mm512_setzero_ps();
    }
    for (int64_t u = groups.chunks * kUnits; u > 0; --u) {
      Pairs unit[kTiles];
      read_unit(codes, x + next, unit);
      add_unit(unit, x, sum[0]);
      x += 4 * 8;
    }
    end_group<kTiles, 1, kOffsets>(
        w, groups, tile, g, sums, /*chunks=*/0, sum, acc);
    sums += groups.chunks * 8;
  }
}

// The same in short groups: 4 rows at a time, whose sums stay in registers from
// group to group.
template <int kTiles, bool kOffsets>
[[gnu::noinline]] void rows_by_staged(const LinearLowbitBf16Args& args,
                                      const Groups& shared_groups,
                                      int64_t tile,
                                      int64_t panel,
                                      int64_t begin,
                                      int64_t end,
                                      const uint16_t* shared_codes,
                                      float* shared_acc) {
  constexpr int kRows = 4;
  const Groups groups = shared_groups;
  const LowbitWeightView w = args.w;
  const int64_t next = args.x.k * 8;  // panel
  const PanelFrom from(args.x, groups, panel, begin);
  for (int half = 0; half < 2; ++half) {
    const uint16_t* codes = shared_codes;
    const uint16_t* x = from.x + half * kRows * 4;
    const float* sums = from.sums + half * kRows;
    float* to = shared_acc + half * kRows * kLowbitTile;
    __m512 acc[kTiles][kRows];
#pragma GCC unroll 2
    for (int t = 0; t < kTiles; ++t) {
#pragma GCC unroll 4
      for (int r = 0; r < kRows; ++r) {
        acc[t][r] = _mm512_load_ps(to + (t * 8 + r) * kLowbitTile);
      }
    }
    for (int64_t g = begin; g < end; ++g) {
      __m512 sum[kTiles][kRows];
#pragma GCC unroll 2
      for (int t = 0; t < kTiles; ++t) {
#pragma GCC unroll 4
        for (int r = 0; r < kRows; ++r) sum[t][r] = _mm512_setzero_ps();
      }
      for (int64_t c = groups.chunks; c > 0; --c) {
#pragma GCC unroll 8
        for (int u = 0; u < kUnits; ++u) {
          Pairs unit[kTiles];
          read_unit(codes, x + next, unit);
          add_unit(unit, x, sum);
          x += 4 * 8;
        }
      }
#pragma GCC unroll 2
      for (int t = 0; t < kTiles; ++t) {
        const __m512 scale =
            group_level<kOffsets>(w, groups, w.scales, w.factors, tile + t, g);
#pragma GCC unroll 4
        for (int r = 0; r < kRows; ++r) {
          acc[t][r] = _mm512_fmadd_ps(sum[t][r], scale, acc[t][r]);
        }
        if constexpr (kOffsets) {
          const __m512 offset = group_level<kOffsets>(
              w, groups, w.offsets, w.offset_factors, tile + t, g);
#pragma GCC unroll 4
          for (int r = 0; r < kRows; ++r) {
            const float more = -minus_sum<8>(sums, r, 0, groups.chunks);
            acc[t][r] =
                _mm512_fmadd_ps(_mm512_set1_ps(more), offset, acc[t][r]);
          }
        }
      }
      sums += groups.chunks * 8;
    }
#pragma GCC unroll 2
    for (int t = 0; t < kTiles; ++t) {
#pragma GCC unroll 4
      for (int r = 0; r < kRows; ++r) {
        _mm512_store_ps(to + (t * 8 + r) * kLowbitTile, acc[t][r]);
      }
    }
  }
}

// Tiles [begin, end), kStagedTiles at most, against all panels: tiles in twos
// share each value of x that is loaded.
template <LowbitCode kCode, int kBits, bool kOffsets>
void staged_tiles(const LinearLowbitBf16Args& args,
                  const Groups& groups,
                  const Tables& tables,
                  int64_t begin,
                  int64_t end,
                  StagedPairs& space) {
  const int64_t panels = (args.x.m + 7) / 8;
  const int64_t block = staged_block(args.w.group);
  const int64_t at_once = block / args.w.group;
  const bool is_short = args.w.group <= kStagedGroup;
  const auto codes_of = [&](int64_t tile) {
    return space.codes + (tile - begin) * block * kLowbitTile;
  };
  StagedSums* slots = parts_behind<StagedSums>(space);
  for (int64_t p0 = 0; p0 < panels; p0 += kStagedPanels) {
    const int64_t p1 = least(p0 + kStagedPanels, panels);
    const auto acc_of = [&](int64_t panel, int64_t tile) {
      return slots[panel - p0].acc[tile - begin][0];
    };
    memset(slots, 0, static_cast<size_t>(p1 - p0) * sizeof(slots[0]));
    for (int64_t g0 = 0; g0 < groups.count; g0 += at_once) {
      const int64_t g1 = least(g0 + at_once, groups.count);
      for (int64_t t = begin; t < end; t += 2) {
        (t + 1 < end ? stage_codes<kCode, kBits, 2>
                     : stage_codes<kCode, kBits, 1>)(args.w,
                                                     groups,
                                                     tables,
                                                     t,
                                                     g0,
                                                     g1,
                                                     codes_of(t));
      }
      for (int64_t p = p0; p < p1; ++p) {
        for (int64_t t = begin; t < end; t += 2) {
          const bool two = t + 1 < end;
          const auto multiply = is_short ? (two ? rows_by_staged<2, kOffsets>
                                                : rows_by_staged<1, kOffsets>)
                                         : (two ? panel_by_staged<2, kOffsets>
                                                : panel_by_staged<1, kOffsets>);
          multiply(args, groups, t, p, g0, g1, codes_of(t), acc_of(p, t));
        }
      }
    }
    for (int64_t p = p0; p < p1; ++p) {
      for (int64_t t = begin; t < end; ++t) {
        for (int r = 0; r < 8; ++r) {
          finish(args,
                 p * 8 + r,
                 t * kLowbitTile,
                 _mm512_load_ps(slots[p - p0].acc[t - begin][r]));
        }
      }
    }
  }
}

template <LowbitCode kCode, int kBits, bool kOffsets>
void staged_panels(const LinearLowbitBf16Args& args,
                   const Groups& groups,
                   const Tables& tables,
                   const LinearLowbitTiles& tiles) {
  auto& space = *static_cast<StagedPairs*>(tiles.workspace);
  const int64_t at_once = staged_tiles_at_once(args.w.group);
  for (int64_t t = tiles.begin; t < tiles.end; t += at_once) {
    staged_tiles<kCode, kBits, kOffsets>(
        args, groups, tables, t, least(t + at_once, tiles.end), space);
  }
}

}  // namespace
}  // namespace mantissa::kernels
