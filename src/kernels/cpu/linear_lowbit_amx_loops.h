#pragma once

// The loops of linear_lowbit on tile registers, over a machine that has them:
// AmxTiles, or what a test puts in its place. Only C headers here:
// instruction-set files include this.
#include "kernels/cpu/lowbit_segments.h"
#include "kernels/cpu/tile_products.h"

namespace mantissa::kernels {
namespace {

constexpr int kAmxUnits = 8;  // of 4 values of K in a chunk
constexpr int64_t kAmxUnitBytes = 64;

// Where unit u of a chunk stands in the tiles: what transpose_rows() makes of
// the rows has the even units first.
constexpr int place_of(int u) { return u / 2 + u % 2 * 4; }

template <int kWidth>
[[gnu::always_inline]] inline Words32 amx_plane(const uint8_t* plane, int u) {
  constexpr int kEach = 8 / kWidth;
  constexpr uint16_t kMask = ((1 << kWidth) - 1) * 0x0101;
  const auto row = load16<Words32>(plane + u / kEach * kAmxUnitBytes);
  return (row >> static_cast<uint16_t>(u % kEach * kWidth)) & kMask;
}

// Unit `u` of a chunk: the codes of 16 columns, 4 values each.
template <int kBits>
[[gnu::always_inline]] inline Words32 amx_unit(const uint8_t* chunk, int u) {
  if constexpr (kBits == 8) {
    return load16<Words32>(chunk + u * kAmxUnitBytes);
  } else if constexpr (kBits > 4) {
    return amx_plane<4>(chunk, u) |
           (amx_unit<kBits - 4>(chunk + 4 * kAmxUnitBytes, u) << uint16_t{4});
  } else if constexpr (kBits == 3) {
    return amx_plane<2>(chunk, u) |
           (amx_plane<1>(chunk + 2 * kAmxUnitBytes, u) << uint16_t{2});
  } else {
    return amx_plane<kBits>(chunk, u);
  }
}

template <int kBits>
void amx_unpack(const uint8_t* chunk, int64_t chunks, int8_t* to) {
  constexpr uint8_t kOffset = 1 << (kBits - 1);
  for (int64_t c = 0; c < chunks; ++c) {
#pragma GCC unroll 8
    for (int u = 0; u < kAmxUnits; ++u) {
      const Words32 codes = amx_unit<kBits>(chunk, u);
      store16(to + place_of(u) * kAmxUnitBytes,
              __builtin_bit_cast(Bytes64, codes) - kOffset);
    }
    to += kAmxUnits * kAmxUnitBytes;
    chunk += kBits * kAmxUnitBytes;
  }
}

inline void amx_unpack(int bits,
                       const uint8_t* chunk,
                       int64_t chunks,
                       int8_t* to) {
  switch (bits) {
    case 1:
      return amx_unpack<1>(chunk, chunks, to);
    case 2:
      return amx_unpack<2>(chunk, chunks, to);
    case 3:
      return amx_unpack<3>(chunk, chunks, to);
    case 4:
      return amx_unpack<4>(chunk, chunks, to);
    case 5:
      return amx_unpack<5>(chunk, chunks, to);
    case 6:
      return amx_unpack<6>(chunk, chunks, to);
    case 7:
      return amx_unpack<7>(chunk, chunks, to);
    default:
      return amx_unpack<8>(chunk, chunks, to);
  }
}

struct AmxBlock {
  int64_t tile;
  int64_t begin;  // of K
  int64_t end;
  int64_t step;  // values of K in a tile
};

// 8 rows of a panel over two chunks (the second all 0 where there is one only)
// to 8 rows of a tile.
inline void transpose_rows(const int8_t* panel,
                           bool two,
                           int8_t (*to)[kTileDepth]) {
  Ints16 v[2][4] = {};
  for (int half = 0; half < (two ? 2 : 1); ++half) {
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      v[half][i] =
          load16<Ints16>(panel + (half * 4 + i) * int64_t{sizeof(Ints16)});
    }
    transpose_quarters(v[half]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    store16(to[i], even_quarters(v[0][i], v[1][i]));
    store16(to[i + 4], odd_quarters(v[0][i], v[1][i]));
  }
}

// The same for panels of fewer rows.
inline void copy_rows(const LowbitActivations& x,
                      const int8_t* panel,
                      int chunks,
                      int8_t (*to)[kTileDepth]) {
  for (int64_t r = 0; r < x.panel; ++r) {
    memset(to[r], 0, kTileDepth);
    for (int u = 0; u < chunks * kAmxUnits; ++u) {
      const int place = u / kAmxUnits * kAmxUnits + place_of(u % kAmxUnits);
      memcpy(to[r] + place * 4, panel + (u * x.panel + r) * 4, 4);
    }
  }
}

// 16 rows, the panels from `first` on, to tiles[x.k / kTileDepth].
inline void amx_pack_rows(const LowbitActivations& x,
                          int64_t first,
                          AmxRowTile* tiles) {
  for (int64_t r = 0; r < kTileSide; r += x.panel) {
    const int64_t panel = first + r / x.panel;
    for (int64_t k = 0; k < x.k; k += kTileDepth) {
      int8_t(*to)[kTileDepth] = tiles[k / kTileDepth] + r;
      const int8_t* from = x.codes + (panel * x.k + k) * x.panel;
      const bool two = k + kLowbitChunk < x.k;
      if (panel * x.panel >= x.m) {
        memset(to, 0, static_cast<size_t>(x.panel * kTileDepth));
      } else if (x.panel == 8) {
        transpose_rows(from, two, to);
      } else {
        copy_rows(x, from, two ? 2 : 1, to);
      }
    }
  }
}

// Scales of 16 rows and, for zero points and offsets, the sums of their codes.
inline void amx_row_metadata(const LinearLowbitArgs& args,
                             const LowbitWalk& walk,
                             const AmxBlock& block,
                             int64_t first,
                             AmxWorkspace& space) {
  const LowbitActivations& x = args.x;
  const bool summed = args.w.zeros != nullptr || args.w.offsets != nullptr;
  int64_t segment = 0;
  for (int64_t k = block.begin; k < block.end; ++segment) {
    const int64_t last = walk.end(k);
    float* scales = space.x_scales[segment];
    int32_t* sums = space.x_sums[segment];
    for (int64_t r = 0; r < kTileSide; r += x.panel) {
      const int64_t panel = first + r / x.panel;
      const bool there = panel * x.panel < x.m;
      for (int64_t i = 0; i < x.panel; ++i) {
        if (x.group != 0) {
          const int64_t at = panel * walk.x_groups + walk.x_group(k);
          scales[r + i] = there ? x.scales[at * x.panel + i] : 0.0f;
        }
        if (summed && last <= block.end) {
          sums[r + i] = there ? code_sum(x, panel, i, walk.begin(k), last) : 0;
        }
      }
    }
    k = last;
  }
}

// Scales or offsets of 16 columns as floats.
inline void amx_widen(LowbitScale type,
                      const void* from,
                      int64_t at,
                      float* to) {
  const auto* half = static_cast<const uint16_t*>(from) + at;
  for (int64_t j = 0; j < kTileSide; ++j) {
    if (type == LowbitScale::F32) {
      to[j] = static_cast<const float*>(from)[at + j];
    } else if (type == LowbitScale::F16) {
      _Float16 value;
      memcpy(&value, half + j, sizeof(value));
      to[j] = static_cast<float>(value);
    } else {
      const uint32_t bits = static_cast<uint32_t>(half[j]) << 16;
      memcpy(to + j, &bits, sizeof(bits));
    }
  }
}

// The block's weights: codes, scales, zero points or offsets of kTiles tiles.
template <int kTiles>
void amx_read_columns(const LinearLowbitArgs& args,
                      const LowbitWalk& walk,
                      const AmxBlock& block,
                      AmxWorkspace& space) {
  const LowbitWeightView& w = args.w;
  for (int t = 0; t < kTiles; ++t) {
    const int64_t tile = block.tile + t;
    amx_unpack(w.bits,
               w.codes + (tile * walk.chunks + block.begin / kLowbitChunk) *
                             w.bits * kAmxUnitBytes,
               (block.end - block.begin) / kLowbitChunk,
               space.w[t]);
    int64_t segment = 0;
    for (int64_t k = block.begin; k < block.end; ++segment) {
      const int64_t at = (tile * walk.groups + walk.group(k)) * kLowbitTile;
      amx_widen(w.scale_type, w.scales, at, space.scales[segment][t]);
      if (w.offsets != nullptr) {
        amx_widen(w.scale_type, w.offsets, at, space.offsets[segment][t]);
      }
      if (w.zeros != nullptr) {
        for (int64_t j = 0; j < kTileSide; ++j) {
          space.zeros[segment][t][j] = w.zeros[at + j];
        }
      }
      k = walk.end(k);
    }
  }
}

/// What is added to codes times scales: zero points or offsets.
enum class AmxShift { None, Zeros, Offsets };

// acc = fma(float(sum of the segment), scale, acc), and the offsets.
template <AmxShift kShift, bool kGroups, class Machine>
[[gnu::always_inline]] inline void amx_add_segment(const AmxWorkspace& space,
                                                   int64_t segment,
                                                   int t,
                                                   float (*acc)[kTileSide]) {
  const auto scale = load16<Floats16>(space.scales[segment][t]);
  const auto zeros = load16<Ints16>(space.zeros[segment][t]);
#pragma GCC unroll 16
  for (int r = 0; r < kTileSide; ++r) {
    auto sum = load16<Ints16>(space.sum[t][r]);
    if constexpr (kShift == AmxShift::Zeros) {
      sum -= zeros * space.x_sums[segment][r];
    }
    Floats16 by = scale;
    if constexpr (kGroups) by = scale * space.x_scales[segment][r];
    auto added = Machine::fma(
        __builtin_convertvector(sum, Floats16), by, load16<Floats16>(acc[r]));
    if constexpr (kShift == AmxShift::Offsets) {
      auto sum_x = static_cast<float>(space.x_sums[segment][r]);
      if constexpr (kGroups) sum_x *= space.x_scales[segment][r];
      added = Machine::fma(Floats16{} + sum_x,
                           load16<Floats16>(space.offsets[segment][t]),
                           added);
    }
    store16(acc[r], added);
  }
}

// 16 rows, as tiles from the block's first value on and with their partial sums
// in `slot`, against the block's columns.
template <int kTiles, AmxShift kShift, bool kGroups, class Machine>
void amx_block_rows(Machine& m,
                    const LowbitWalk& shared_walk,
                    const AmxBlock& shared_block,
                    const AmxRowTile* x,
                    AmxSlot& slot,
                    AmxWorkspace& space) {
  // Copies: the stores below could change what a reference names.
  const LowbitWalk walk = shared_walk;
  const AmxBlock block = shared_block;
  int64_t segment = 0;
  for (int64_t k = block.begin; k < block.end; ++segment) {
    const int64_t last = walk.end(k);
    const int64_t stop = least(last, block.end);
    begin_sums<kTiles>(m, k == walk.begin(k) ? nullptr : slot.carried);
    for (int64_t at = k - block.begin; at < stop - block.begin;
         at += block.step) {
      add_products<kTiles>(m,
                           x[at / kTileDepth][0] + at % kTileDepth,
                           kTileDepth,
                           space.w[0] + at * kLowbitTile,
                           sizeof(space.w[0]));
    }
    if (stop < last) {
      end_sums<kTiles>(m, slot.carried);
      return;
    }
    end_sums<kTiles>(m, space.sum);
#pragma GCC unroll 4
    for (int t = 0; t < kTiles; ++t) {
      amx_add_segment<kShift, kGroups, Machine>(space, segment, t, slot.acc[t]);
    }
    k = stop;
  }
}

// 16 columns of row i from j on: scaled, shifted, stored.
template <class Machine>
void amx_finish(const LinearLowbitArgs& args,
                int64_t i,
                int64_t j,
                const float* sums) {
  const LowbitActivations& x = args.x;
  const auto bytes =
      static_cast<size_t>(least(kTileSide, args.w.n - j)) * sizeof(float);
  auto acc = load16<Floats16>(sums);
  Floats16 bias = {};
  if (args.bias != nullptr) memcpy(&bias, args.bias + j, bytes);
  if (x.group == 0) {
    if (x.zeros != nullptr) {
      acc = Machine::fma(
          Floats16{} - x.zeros[i], load16<Floats16>(args.w.sums + j), acc);
    }
    acc = args.bias != nullptr
              ? Machine::fma(acc, Floats16{} + x.scales[i], bias)
              : acc * x.scales[i];
  } else if (args.bias != nullptr) {
    acc += bias;
  }
  memcpy(args.y + i * args.y_stride + j, &acc, bytes);
}

template <int kTiles, AmxShift kShift, class Machine>
constexpr auto amx_rows_of(bool groups) {
  return groups ? amx_block_rows<kTiles, kShift, true, Machine>
                : amx_block_rows<kTiles, kShift, false, Machine>;
}

// The rows that are at hand: [begin, end), as tiles with all their values.
struct AmxRows {
  int64_t begin;
  int64_t end;
  const AmxRowTile* tiles;  // [slots][depth]
  int64_t depth;
  AmxSlot* sums;  // [slots]

  int64_t slots() const { return (end - begin + kTileSide - 1) / kTileSide; }
};

// kTiles tiles of columns for the rows at hand.
template <int kTiles, class Machine>
void amx_columns(Machine& m,
                 const LinearLowbitArgs& args,
                 const LowbitWalk& walk,
                 const AmxRows& rows,
                 AmxBlock block,
                 AmxWorkspace& space) {
  const bool groups = args.x.group != 0;
  const auto multiply =
      args.w.offsets != nullptr
          ? amx_rows_of<kTiles, AmxShift::Offsets, Machine>(groups)
      : args.w.zeros != nullptr
          ? amx_rows_of<kTiles, AmxShift::Zeros, Machine>(groups)
          : amx_rows_of<kTiles, AmxShift::None, Machine>(groups);
  for (int64_t s = 0; s < rows.slots(); ++s) {
    memset(rows.sums[s].acc, 0, sizeof(rows.sums[s].acc));
  }
  for (int64_t k = 0; k < args.w.k; k += kAmxBlock) {
    block.begin = k;
    block.end = least(k + kAmxBlock, args.w.k);
    amx_read_columns<kTiles>(args, walk, block, space);
    for (int64_t slot = 0; slot < rows.slots(); ++slot) {
      const int64_t panel = (rows.begin + slot * kTileSide) / args.x.panel;
      amx_row_metadata(args, walk, block, panel, space);
      multiply(m,
               walk,
               block,
               rows.tiles + slot * rows.depth + k / kTileDepth,
               rows.sums[slot],
               space);
    }
  }
  for (int64_t i = rows.begin; i < rows.end; ++i) {
    const int64_t slot = (i - rows.begin) / kTileSide;
    for (int t = 0; t < kTiles; ++t) {
      const int64_t j = (block.tile + t) * kLowbitTile;
      if (j >= args.w.n) break;
      amx_finish<Machine>(args, i, j, rows.sums[slot].acc[t][i % kTileSide]);
    }
  }
}

template <class Machine>
void amx_linear_lowbit(Machine& m,
                       const LinearLowbitArgs& args,
                       const LinearLowbitTiles& tiles) {
  const LowbitWalk walk(args);
  auto& space = *static_cast<AmxWorkspace*>(tiles.workspace);
  // Segments of 32 values end inside a tile of 64.
  const int64_t step =
      walk.step_shift == kLowbitChunkShift ? kLowbitChunk : kTileDepth;
  m.configure(product_tiles(step));
  const int64_t at_once = amx_rows_at_once(args.x.m, args.x.k);
  AmxSlot* sums = parts_behind<AmxSlot>(space);
  auto* packed = reinterpret_cast<AmxRowTile*>(sums + at_once / kTileSide);
  for (int64_t i = 0; i < args.x.m; i += at_once) {
    const AmxRows rows = {
        i, least(i + at_once, args.x.m), packed, amx_depth(args.x.k), sums};
    for (int64_t slot = 0; slot < rows.slots(); ++slot) {
      amx_pack_rows(args.x,
                    (i + slot * kTileSide) / args.x.panel,
                    packed + slot * rows.depth);
    }
    for (int64_t tile = tiles.begin; tile < tiles.end; tile += kTilesAcross) {
      const AmxBlock block = {tile, 0, 0, step};
      switch (tiles.end - tile) {
        case 1:
          amx_columns<1>(m, args, walk, rows, block, space);
          break;
        case 2:
          amx_columns<2>(m, args, walk, rows, block, space);
          break;
        case 3:
          amx_columns<3>(m, args, walk, rows, block, space);
          break;
        default:
          amx_columns<4>(m, args, walk, rows, block, space);
      }
    }
  }
  m.release();
}

}  // namespace
}  // namespace mantissa::kernels
