#pragma once

// The sums of linear_int8 on tile registers, over a machine that has them:
// AmxTiles, or what a test puts in its place. Only C headers here:
// instruction-set files include this.
#include "kernels/cpu/tile_products.h"

namespace mantissa::kernels {
namespace {

constexpr int64_t kInt8AmxBlock = 1024;  // values of K, 64 KiB on the stack

/// Rows of w as tiles of columns: [K / 4][16 columns][4], 0 behind the edges.
struct Int8Columns {
  int8_t at[kTilesAcross][kInt8AmxBlock * kTileSide];
};

// `count` bytes, 0 up to 64.
[[gnu::always_inline]] inline Ints16 load_part(const int8_t* from,
                                               int64_t count) {
  if (count >= kTileDepth) return load16<Ints16>(from);
  Ints16 out = {};
  if (count > 0) memcpy(&out, from, static_cast<size_t>(count));
  return out;
}

// 16 rows of w from `from` on (of which `there` exist) over 64 values of K (of
// which `count` exist) to a tile.
inline void columns_of(const int8_t* from,
                       int64_t stride,
                       int64_t there,
                       int64_t count,
                       int8_t* to) {
  Ints16 v[4][4];
#pragma GCC unroll 4
  for (int g = 0; g < 4; ++g) {
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      const int64_t c = 4 * g + i;
      v[g][i] = load_part(from + c * stride, c < there ? count : 0);
    }
    // Quarter q of v[g][i]: unit 4q + i of columns 4g .. 4g + 3.
    transpose_quarters(v[g]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    const Ints16 even[2] = {even_quarters(v[0][i], v[1][i]),
                            even_quarters(v[2][i], v[3][i])};
    const Ints16 odd[2] = {odd_quarters(v[0][i], v[1][i]),
                           odd_quarters(v[2][i], v[3][i])};
    store16(to + i * 64, even_quarters(even[0], even[1]));
    store16(to + (4 + i) * 64, even_quarters(odd[0], odd[1]));
    store16(to + (8 + i) * 64, odd_quarters(even[0], even[1]));
    store16(to + (12 + i) * 64, odd_quarters(odd[0], odd[1]));
  }
}

struct Int8Part {
  int64_t begin;  // of K
  int64_t end;
  int64_t k;        // bytes from a row to the next
  int64_t columns;  // of the sums
};

// Sums of a tile's rows and columns that exist, into theirs.
inline void add_sums(const TileSums& from,
                     const Int8Part& part,
                     int64_t rows,
                     int64_t columns,
                     int32_t* sums) {
  for (int64_t i = 0; i < rows; ++i) {
    int32_t* to = sums + i * part.columns;
    for (int64_t j = 0; j < columns; ++j) {
      to[j] = from[i][j] + (part.begin == 0 ? 0 : to[j]);
    }
  }
}

// `rows` rows of x (16 at most) times kTiles tiles; x and sums at their place.
template <int kTiles, class Machine>
void int8_rows(Machine& m,
               const int8_t* x,
               const Int8Columns& w,
               const Int8Part& part,
               int64_t rows,
               TileSums* out) {
  begin_sums<kTiles>(m, nullptr);
  for (int64_t k = part.begin; k < part.end; k += kTileDepth) {
    const int8_t* from = w.at[0] + (k - part.begin) * kTileSide;
    if (rows == kTileSide && k + kTileDepth <= part.end) {
      add_products<kTiles>(m, x + k, part.k, from, sizeof(w.at[0]));
      continue;
    }
    int8_t edge[kTileSide][kTileDepth];
    for (int64_t i = 0; i < kTileSide; ++i) {
      store16(edge[i],
              load_part(x + i * part.k + k, i < rows ? part.end - k : 0));
    }
    add_products<kTiles>(m, edge[0], kTileDepth, from, sizeof(w.at[0]));
  }
  end_sums<kTiles>(m, out);
}

// kTiles tiles of columns, those from `w` on (of which `there` exist).
template <int kTiles, class Machine>
void int8_columns(Machine& m,
                  const int8_t* x,
                  const int8_t* w,
                  const Int8Part& part,
                  int64_t rows,
                  int64_t there,
                  int32_t* sums) {
  alignas(64) Int8Columns packed;
  alignas(64) TileSums out[kTiles];
  for (int t = 0; t < kTiles; ++t) {
    for (int64_t k = part.begin; k < part.end; k += kTileDepth) {
      columns_of(w + t * kTileSide * part.k + k,
                 part.k,
                 there - t * kTileSide,
                 part.end - k,
                 packed.at[t] + (k - part.begin) * kTileSide);
    }
  }
  for (int64_t i = 0; i < rows; i += kTileSide) {
    const int64_t count = rows - i < kTileSide ? rows - i : kTileSide;
    int8_rows<kTiles>(m, x + i * part.k, packed, part, count, out);
    for (int64_t t = 0; t < kTiles; ++t) {
      const int64_t left = there - t * kTileSide;
      add_sums(out[t],
               part,
               count,
               left < kTileSide ? left : kTileSide,
               sums + i * part.columns + t * kTileSide);
    }
  }
}

/// As Int8Sums.
template <class Machine>
void int8_sums_on_tiles(Machine& m,
                        const int8_t* x,
                        const int8_t* w,
                        int64_t k,
                        int64_t rows,
                        int64_t columns,
                        int32_t* sums) {
  constexpr int64_t kAcross = kTilesAcross * kTileSide;
  m.configure(product_tiles(kTileDepth));
  for (int64_t j = 0; j < columns; j += kAcross) {
    const int64_t there = columns - j < kAcross ? columns - j : kAcross;
    for (int64_t at = 0; at == 0 || at < k; at += kInt8AmxBlock) {
      const int64_t end = k - at < kInt8AmxBlock ? k : at + kInt8AmxBlock;
      const Int8Part part = {at, end, k, columns};
      const int8_t* from = w + j * k;
      switch ((there + kTileSide - 1) / kTileSide) {
        case 1:
          int8_columns<1>(m, x, from, part, rows, there, sums + j);
          break;
        case 2:
          int8_columns<2>(m, x, from, part, rows, there, sums + j);
          break;
        case 3:
          int8_columns<3>(m, x, from, part, rows, there, sums + j);
          break;
        default:
          int8_columns<4>(m, x, from, part, rows, there, sums + j);
      }
    }
  }
  m.release();
}

}  // namespace
}  // namespace mantissa::kernels
