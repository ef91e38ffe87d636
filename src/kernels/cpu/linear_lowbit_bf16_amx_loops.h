#pragma once

// The loops of linear_lowbit_bf16 on tile registers, over a machine that has
// them: AmxBf16Tiles, or what a test puts in its place. Only C headers here:
// instruction-set files include this.
//
// A chunk of 16 columns is a tile: unit u the pairs of its rows 2u and 2u + 1.
// What the sums of a segment of K are short of or have too much, `base`, zero
// points and offsets, comes to them as a factor of the sum of x.
#include <immintrin.h>

#include "kernels/cpu/lowbit_pairs_avx512bf16.h"
#include "kernels/cpu/tile_products.h"

namespace mantissa::kernels {
namespace {

static_assert(kLowbitChunk * sizeof(uint16_t) == kTileDepth);
static_assert(kLowbitBf16Tile == kTileSide);

/// A part of K of some tiles of columns, in segments of one scale each.
struct Bf16AmxBlock {
  int64_t tile;
  int64_t begin;  // of K
  int64_t end;
  int64_t segment;  // values of K, the last may have fewer
};

// Chunks of a tile of columns as tiles of pairs.
template <LowbitCode kCode, int kBits>
void bf16_amx_unpack(const uint8_t* chunk,
                     int64_t chunks,
                     const Tables& shared,
                     uint16_t* to) {
  const Tables tables = shared;
  for (; chunks > 0; --chunks) {
    fetch_ahead<kBits, Fetch::Second>(chunk);
#pragma GCC unroll 8
    for (int u = 0; u < kUnits; ++u) {
      const Pairs codes =
          pairs<kCode, kBits, way_of_panels<kBits>()>(chunk, u, tables);
      _mm512_store_si512(to + 2 * u * 32, codes.even);
      _mm512_store_si512(to + (2 * u + 1) * 32, codes.odd);
    }
    chunk += kBits * kUnitBytes;
    to += kLowbitChunk * kLowbitTile;
  }
}

// Scales or offsets of 16 columns' group, of one level or two.
inline __m512 bf16_amx_level(const LowbitWeightView& w,
                             const void* values,
                             const int8_t* factors,
                             int64_t tile,
                             int64_t k) {
  const int64_t at = (tile * (w.k / w.group) + k / w.group) * kLowbitTile;
  if (factors == nullptr) return metadata_of(w.scale_type, values, at);
  const int64_t super = (tile * (w.k / w.super) + k / w.super) * kLowbitTile;
  return leveled(w.scale_type, values, super, factors, at);
}

// What the sum of x is multiplied with.
template <LowbitCode kCode, int kBits>
inline __m512 bf16_amx_shift(const LowbitWeightView& w,
                             int64_t tile,
                             int64_t k,
                             __m512 scale) {
  const int64_t at = (tile * (w.k / w.group) + k / w.group) * kLowbitTile;
  const __m512 more =
      w.offsets == nullptr
          ? _mm512_setzero_ps()
          : bf16_amx_level(w, w.offsets, w.offset_factors, tile, k);
  return _mm512_fnmadd_ps(
      offset_of<kCode, kBits, way_of_panels<kBits>()>(w, at), scale, more);
}

// The block's weights: codes, scales and shifts of kTiles tiles.
template <LowbitCode kCode, int kBits, int kTiles, bool kShift>
void bf16_amx_read_columns(const LowbitWeightView& w,
                           const Bf16AmxBlock& block,
                           const Tables& tables,
                           Bf16AmxWorkspace& space) {
  const int64_t chunks = w.k / kLowbitChunk;
  for (int t = 0; t < kTiles; ++t) {
    const int64_t tile = block.tile + t;
    bf16_amx_unpack<kCode, kBits>(
        w.codes +
            (tile * chunks + block.begin / kLowbitChunk) * kBits * kUnitBytes,
        (block.end - block.begin) / kLowbitChunk,
        tables,
        space.w[t]);
    int64_t segment = 0;
    for (int64_t k = block.begin; k < block.end; k += block.segment) {
      const __m512 scale = bf16_amx_level(w, w.scales, w.factors, tile, k);
      _mm512_store_ps(space.scales[segment][t], scale);
      if constexpr (kShift) {
        _mm512_store_ps(space.shifts[segment][t],
                        bf16_amx_shift<kCode, kBits>(w, tile, k, scale));
      }
      ++segment;
    }
  }
}

// Sums of 16 rows of x over the segments of a block.
inline void bf16_amx_row_sums(const LowbitBf16s& x,
                              const Bf16AmxBlock& block,
                              int64_t panel,
                              Bf16AmxWorkspace& space) {
  const float* sums =
      x.sums + (panel * x.k + block.begin) / kLowbitChunk * kTileSide;
  int64_t segment = 0;
  for (int64_t k = block.begin; k < block.end; ++segment) {
    const int64_t last = least(k + block.segment, block.end);
    __m512 sum = _mm512_setzero_ps();
    for (; k < last; k += kLowbitChunk) {
      sum = _mm512_add_ps(sum, _mm512_loadu_ps(sums));
      sums += kTileSide;
    }
    _mm512_store_ps(space.x_sums[segment], sum);
  }
}

// The same address, which the compiler does not know: it would keep a pointer
// for each row.
template <class T>
[[gnu::always_inline]] inline T* again(T* p) {
  __asm__("" : "+r"(p));
  return p;
}

// acc += scale * sum [+ shift * sum of x] of `count` segments from `first` on.
template <bool kShift>
[[gnu::noinline]] void bf16_amx_add_segments(const Bf16AmxWorkspace& space,
                                             int64_t first,
                                             int64_t count,
                                             int t,
                                             float* acc) {
  acc = again(acc);
  __m512 rows[kTileSide];
#pragma GCC unroll 16
  for (int r = 0; r < kTileSide; ++r) {
    rows[r] = _mm512_load_ps(acc + r * kTileSide);
  }
  for (int64_t s = 0; s < count; ++s) {
    const float* sum = again(space.sum[s][t][0]);
    const float* x_sums = again(space.x_sums[first + s]);
    const __m512 scale = _mm512_load_ps(space.scales[first + s][t]);
    const __m512 shift = _mm512_load_ps(space.shifts[first + s][t]);
#pragma GCC unroll 16
    for (int r = 0; r < kTileSide; ++r) {
      rows[r] =
          _mm512_fmadd_ps(_mm512_load_ps(sum + r * kTileSide), scale, rows[r]);
      if constexpr (kShift) {
        rows[r] = _mm512_fmadd_ps(_mm512_set1_ps(x_sums[r]), shift, rows[r]);
      }
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < kTileSide; ++r) {
    _mm512_store_ps(acc + r * kTileSide, rows[r]);
  }
}

// 16 rows, x from the block's begin on, whose partial sums are in `slot`,
// against the block's columns.
template <int kTiles, bool kShift, class Machine>
void bf16_amx_block_rows(Machine& m,
                         const uint16_t* x,
                         const Bf16AmxBlock& shared_block,
                         Bf16AmxSlot& slot,
                         Bf16AmxWorkspace& space) {
  // A copy: the stores below could change what a reference names.
  const Bf16AmxBlock block = shared_block;
  const auto* rows = reinterpret_cast<const int8_t*>(x);
  const auto* w = reinterpret_cast<const int8_t*>(space.w[0]);
  constexpr int64_t kTileBytes = kTileSide * kTileDepth;
  int64_t segment = 0;
  for (int64_t k = block.begin; k < block.end;) {
    int64_t count = 0;
    for (; count < kBf16AmxAtOnce && k < block.end; ++count) {
      const int64_t last = least(k + block.segment, block.end);
      begin_sums<kTiles>(m, nullptr);
      for (; k < last; k += kLowbitChunk) {
        add_products<kTiles>(m, rows, kTileDepth, w, sizeof(space.w[0]));
        rows += kTileBytes;
        w += kTileBytes;
      }
      end_sums<kTiles>(m, space.sum[count]);
    }
    for (int t = 0; t < kTiles; ++t) {
      bf16_amx_add_segments<kShift>(space, segment, count, t, slot.acc[t][0]);
    }
    segment += count;
  }
}

// kTiles tiles of columns for all rows.
template <LowbitCode kCode, int kBits, int kTiles, bool kShift, class Machine>
void bf16_amx_columns(Machine& m,
                      const LinearLowbitBf16Args& args,
                      const Tables& tables,
                      int64_t tile,
                      Bf16AmxWorkspace& space) {
  const LowbitBf16s& x = args.x;
  const LowbitWeightView& w = args.w;
  Bf16AmxBlock block = {tile, 0, 0, least(w.group, kBf16AmxBlock)};
  Bf16AmxSlot* sums = parts_behind<Bf16AmxSlot>(space);
  for (int64_t i0 = 0; i0 < x.m; i0 += kBf16AmxRows) {
    const int64_t i1 = least(i0 + kBf16AmxRows, x.m);
    const int64_t slots = (i1 - i0 + kTileSide - 1) / kTileSide;
    memset(sums, 0, static_cast<size_t>(slots) * sizeof(sums[0]));
    for (int64_t k = 0; k < w.k; k += kBf16AmxBlock) {
      block.begin = k;
      block.end = least(k + kBf16AmxBlock, w.k);
      bf16_amx_read_columns<kCode, kBits, kTiles, kShift>(
          w, block, tables, space);
      for (int64_t slot = 0; slot < slots; ++slot) {
        const int64_t panel = i0 / kTileSide + slot;
        if constexpr (kShift) bf16_amx_row_sums(x, block, panel, space);
        bf16_amx_block_rows<kTiles, kShift>(
            m,
            x.values + (panel * x.k + k) * kTileSide,
            block,
            sums[slot],
            space);
      }
    }
    for (int64_t i = i0; i < i1; ++i) {
      const int64_t slot = (i - i0) / kTileSide;
      for (int t = 0; t < kTiles; ++t) {
        finish(args,
               i,
               (tile + t) * kLowbitTile,
               _mm512_load_ps(sums[slot].acc[t][i % kTileSide]));
      }
    }
  }
}

template <LowbitCode kCode, int kBits, bool kShift, class Machine>
void bf16_amx_tiles(Machine& m,
                    const LinearLowbitBf16Args& args,
                    const LinearLowbitTiles& tiles) {
  auto& space = *static_cast<Bf16AmxWorkspace*>(tiles.workspace);
  const Tables tables = make_tables<kCode, kBits>();
  for (int64_t t = tiles.begin; t < tiles.end; t += kTilesAcross) {
    switch (tiles.end - t) {
      case 1:
        bf16_amx_columns<kCode, kBits, 1, kShift>(m, args, tables, t, space);
        break;
      case 2:
        bf16_amx_columns<kCode, kBits, 2, kShift>(m, args, tables, t, space);
        break;
      case 3:
        bf16_amx_columns<kCode, kBits, 3, kShift>(m, args, tables, t, space);
        break;
      default:
        bf16_amx_columns<kCode, kBits, 4, kShift>(m, args, tables, t, space);
    }
  }
}

template <int kBits, class Machine>
void bf16_amx_integers(Machine& m,
                       const LinearLowbitBf16Args& args,
                       const LinearLowbitTiles& tiles) {
  constexpr auto kInteger = LowbitCode::Integer;
  if (base<kInteger, kBits, way_of_panels<kBits>()>() != 0.0f ||
      args.w.zeros != nullptr || args.w.offsets != nullptr ||
      args.w.from_zero) {
    return bf16_amx_tiles<kInteger, kBits, true>(m, args, tiles);
  }
  bf16_amx_tiles<kInteger, kBits, false>(m, args, tiles);
}

template <class Machine>
void bf16_amx_codes(Machine& m,
                    const LinearLowbitBf16Args& args,
                    const LinearLowbitTiles& tiles) {
  using enum LowbitCode;
  if (args.w.code == E4m3) {
    return bf16_amx_tiles<E4m3, 8, false>(m, args, tiles);
  }
  if (args.w.code == E5m2) {
    return bf16_amx_tiles<E5m2, 8, false>(m, args, tiles);
  }
  switch (args.w.bits) {
    case 1:
      return bf16_amx_integers<1>(m, args, tiles);
    case 2:
      return bf16_amx_integers<2>(m, args, tiles);
    case 3:
      return bf16_amx_integers<3>(m, args, tiles);
    case 4:
      return bf16_amx_integers<4>(m, args, tiles);
    case 5:
      return bf16_amx_integers<5>(m, args, tiles);
    case 6:
      return bf16_amx_integers<6>(m, args, tiles);
    case 7:
      return bf16_amx_integers<7>(m, args, tiles);
    default:
      return bf16_amx_integers<8>(m, args, tiles);
  }
}

template <class Machine>
void bf16_amx_linear_lowbit(Machine& m,
                            const LinearLowbitBf16Args& args,
                            const LinearLowbitTiles& tiles) {
  m.configure(product_tiles(kTileDepth));
  bf16_amx_codes(m, args, tiles);
  m.release();
}

}  // namespace
}  // namespace mantissa::kernels
