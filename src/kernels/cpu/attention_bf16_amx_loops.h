#pragma once

// The loops of attention_bf16 on tile registers, over a machine that has them:
// AmxBf16Tiles, or what a test puts in its place. Only C headers here:
// instruction-set files include this.
//
// Registers 0 .. 3 hold sums of 32 rows (queries) and 32 columns (keys, or
// elements of the head), 4 and 5 rows, 6 and 7 columns: queries and weights
// stand as tiles of rows, packed keys and values as tiles of pairs already.
#include "kernels/cpu/attention_bf16_loops.h"
#include "kernels/cpu/tile_shapes.h"

namespace mantissa::kernels {
namespace {

constexpr int64_t kAmxDepth = 64;  // bytes of a row of a tile
constexpr int64_t kAmxStep = 32;   // elements, keys or columns at a time
constexpr int kAmxSide = 16;       // rows of a tile

static_assert(kAttentionPanel % kAmxStep == 0);
static_assert(kAttentionAmxTile == 2 * kAmxSide);

inline const char* bytes_of(const void* p) {
  return static_cast<const char*>(p);
}

// Sums become 0.
template <int kR, class Machine>
[[gnu::always_inline]] inline void zero_sums(Machine& m) {
  m.template zero<0>();
  m.template zero<1>();
  if constexpr (kR > kAmxSide) {
    m.template zero<2>();
    m.template zero<3>();
  }
}

// Sums from rows `stride` bytes apart.
template <int kR, class Machine>
[[gnu::always_inline]] inline void load_sums(Machine& m,
                                             const float* from,
                                             int64_t stride) {
  const char* low = bytes_of(from);
  m.template load<0>(low, stride);
  m.template load<1>(low + kAmxDepth, stride);
  if constexpr (kR > kAmxSide) {
    const char* high = low + kAmxSide * stride;
    m.template load<2>(high, stride);
    m.template load<3>(high + kAmxDepth, stride);
  }
}

template <int kR, class Machine>
[[gnu::always_inline]] inline void store_sums(Machine& m,
                                              float* to,
                                              int64_t stride) {
  char* low = reinterpret_cast<char*>(to);
  m.template store<0>(low, stride);
  m.template store<1>(low + kAmxDepth, stride);
  if constexpr (kR > kAmxSide) {
    char* high = low + kAmxSide * stride;
    m.template store<2>(high, stride);
    m.template store<3>(high + kAmxDepth, stride);
  }
}

// Sums += 32 elements of kR rows, `rows_stride` bytes apart, times 16 pairs of
// 32 columns.
template <int kR, class Machine>
[[gnu::always_inline]] inline void add_products(Machine& m,
                                                const void* rows,
                                                int64_t rows_stride,
                                                const uint32_t* columns,
                                                int64_t columns_stride) {
  m.template load<6>(columns, columns_stride);
  m.template load<7>(bytes_of(columns) + kAmxDepth, columns_stride);
  m.template load<4>(rows, rows_stride);
  m.template multiply<0, 4, 6>();
  m.template multiply<1, 4, 7>();
  if constexpr (kR > kAmxSide) {
    m.template load<5>(bytes_of(rows) + kAmxSide * rows_stride, rows_stride);
    m.template multiply<2, 5, 6>();
    m.template multiply<3, 5, 7>();
  }
}

template <class Machine>
struct TileProducts {
  Machine& m;

  // Products of the queries with keys [begin, begin + count), and with those
  // behind them that a tile has room for.
  template <int kR>
  void dot(Tile<kR>& tile, int64_t begin, int64_t count) {
    constexpr int64_t kPanelStride = kAttentionPanel * sizeof(uint32_t);
    const int64_t pairs = tile.packed.pairs;
    const int64_t q_stride = pairs * static_cast<int64_t>(sizeof(*tile.q));
    for (int64_t j = 0; j < count; j += kAmxStep) {
      const int64_t key = begin + j;
      const uint32_t* keys =
          tile.packed.key_panel(key / kAttentionPanel) + key % kAttentionPanel;
      zero_sums<kR>(m);
      for (int64_t p = 0; p < pairs; p += kAmxStep / 2) {
        add_products<kR>(
            m, tile.q + p, q_stride, keys + p * kAttentionPanel, kPanelStride);
      }
      store_sums<kR>(m, tile.scores + j, kBlock * sizeof(float));
    }
  }

  // The sums so far times their factors plus the weighted values.
  template <int kR>
  void weigh(Tile<kR>& tile,
             int64_t begin,
             int64_t count,
             const float (&factor)[kR]) {
    scale(tile, factor);
    const int64_t columns = tile.packed.columns * kLanes;
    const int64_t stride = columns * static_cast<int64_t>(sizeof(float));
    const int64_t first = tile.unseen(begin) / kAmxStep * kAmxStep;
    const uint32_t* values = tile.packed.value_pair(begin);
    for (int64_t c = 0; c < columns; c += kAmxStep) {
      load_sums<kR>(m, tile.out + c, stride);
      for (int64_t j = first; j < count; j += kAmxStep) {
        add_products<kR>(m,
                         tile.weights + j,
                         kBlock * sizeof(uint16_t),
                         values + j / 2 * columns + c,
                         stride);
      }
      store_sums<kR>(m, tile.out + c, stride);
    }
  }

 private:
  template <int kR>
  static void scale(Tile<kR>& tile, const float (&factor)[kR]) {
    const int64_t columns = tile.packed.columns * kLanes;
    for (int r = 0; r < tile.rows; ++r) {
      if (factor[r] == 1.0f) continue;
      const __m512 by = _mm512_set1_ps(factor[r]);
      float* row = tile.out + r * columns;
      for (int64_t c = 0; c < columns; c += kLanes) {
        _mm512_store_ps(row + c, _mm512_mul_ps(_mm512_load_ps(row + c), by));
      }
    }
  }
};

// A head counts as a multiple of 32 elements.
inline Packed packed_for_tiles(const AttentionBf16Args& args,
                               const void* packed) {
  return Packed(args, packed, kAmxStep);
}

template <class Machine>
void amx_attend_bf16(Machine& m,
                     const AttentionBf16Args& args,
                     const AttentionHead& head,
                     int64_t begin,
                     int64_t end,
                     const void* packed) {
  const Packed at = packed_for_tiles(args, packed);
  TileProducts<Machine> by = {m};
  m.configure(product_tiles(kAmxDepth));
  for (int64_t i = begin; i < end; i += kAttentionAmxTile) {
    const int64_t left = end - i;
    if (left > kAmxSide) {
      const int rows = left < kAttentionAmxTile ? static_cast<int>(left)
                                                : int{kAttentionAmxTile};
      attend_tile<kAttentionAmxTile>(by, args, head, i, rows, at);
    } else {
      attend_tile<kAmxSide>(by, args, head, i, static_cast<int>(left), at);
    }
  }
  m.release();
}

}  // namespace
}  // namespace mantissa::kernels
