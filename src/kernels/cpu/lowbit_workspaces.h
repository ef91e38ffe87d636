#pragma once

// What rows of the low-bit products keep in the caller's workspace: a head, and
// behind it parts for the rows of x, as many as there are. The tables say from
// these how many bytes a problem needs. Only C headers here: instruction-set
// files include this.
#include <stdint.h>

#include "kernels/linear_lowbit_float_args.h"

namespace mantissa::kernels {
namespace {

/// The parts behind a head.
template <class Part, class Head>
[[gnu::always_inline]] inline Part* parts_behind(Head& head) {
  static_assert(sizeof(Head) % 64 == 0 && sizeof(Part) % 64 == 0);
  return reinterpret_cast<Part*>(&head + 1);
}

template <class Head, class Part>
constexpr int64_t workspace_size(int64_t parts) {
  return static_cast<int64_t>(sizeof(Head)) +
         parts * static_cast<int64_t>(sizeof(Part));
}

constexpr int64_t kTileSide = 16;    // rows or columns of a tile of AMX
constexpr int64_t kTileDepth = 64;   // bytes of K in a tile
constexpr int64_t kTilesAcross = 4;  // sums side by side

typedef int32_t TileSums[kTileSide][kTileSide];
typedef float TileFloats[kTileSide][kTileSide];

// linear_lowbit, AVX2: codes of one tile and a block of K, their low 4 bits and
// the rest.
constexpr int64_t kAvx2Block = 512;  // values of K
constexpr int64_t kAvx2Rows = 256;   // rows with partial sums

struct alignas(64) Avx2Workspace {
  uint8_t low[kAvx2Block * kLowbitTile];
  uint8_t high[kAvx2Block * kLowbitTile];
  // Of the segments of a block.
  float scales[kAvx2Block / kLowbitChunk][kLowbitTile];
  int32_t zeros[kAvx2Block / kLowbitChunk][kLowbitTile];
  float offsets[kAvx2Block / kLowbitChunk][kLowbitTile];
};
// Partial sums: first those of all rows, then as many integers for segments
// longer than a block.
typedef float Avx2Sums[kLowbitTile];
typedef int32_t Avx2Carried[kLowbitTile];
static_assert(sizeof(Avx2Sums) == sizeof(Avx2Carried));

// linear_lowbit, AMX: codes without their offset as tiles of columns, and sums;
// behind it the sums of rows and, as tiles, the rows with all their values of
// K, which all columns of a call share: as many as a second cache holds,
// and 16.
constexpr int64_t kAmxBlock = 512;         // values of K unpacked at a time
constexpr int64_t kAmxRows = 512;          // rows with partial sums, at most
constexpr int64_t kAmxRowBytes = 2 << 20;  // of rows as tiles

// Tiles of a row of k values.
constexpr int64_t amx_depth(int64_t k) {
  return (k + kTileDepth - 1) / kTileDepth;
}

// Rows at a time, in sixteens, of m with k values.
constexpr int64_t amx_rows_at_once(int64_t m, int64_t k) {
  const int64_t fit = kAmxRowBytes / (amx_depth(k) * kTileDepth);
  const int64_t most = (fit < kAmxRows ? fit : kAmxRows) / kTileSide;
  const int64_t slots = (m + kTileSide - 1) / kTileSide;
  return (slots < most ? slots : most < 1 ? 1 : most) * kTileSide;
}

constexpr int64_t kAmxSegments = kAmxBlock / kLowbitChunk;

struct alignas(64) AmxWorkspace {
  int8_t w[kTilesAcross][kAmxBlock * kLowbitTile];
  TileSums sum[kTilesAcross];
  // Of the segments of a block.
  float scales[kAmxSegments][kTilesAcross][kTileSide];
  int32_t zeros[kAmxSegments][kTilesAcross][kTileSide];
  float offsets[kAmxSegments][kTilesAcross][kTileSide];
  float x_scales[kAmxSegments][kTileSide];
  int32_t x_sums[kAmxSegments][kTileSide];
};
// Of 16 rows.
struct alignas(64) AmxSlot {
  TileFloats acc[kTilesAcross];
  TileSums carried[kTilesAcross];  // of a segment longer than a block
};

typedef int8_t AmxRowTile[kTileSide][kTileDepth];  // 16 rows, a step of K

// linear_lowbit_bf16, AVX-512 BF16, many rows: codes of some tiles and a block
// of K as pairs, and behind them the sums of panels of 8 rows.
constexpr int64_t kStagedRows = 65;         // from which on that is faster
constexpr int64_t kStagedGroup = 64;        // whose sums stay in registers
constexpr int64_t kStagedBlock = 1024;      // values of K, of shorter groups
constexpr int64_t kStagedMostBlock = 4096;  // of a longer group
constexpr int64_t kStagedTiles = 4;
constexpr int64_t kStagedPanels = 64;  // with partial sums

// Codes of 8 bits, which cost most to unpack, and short groups.
constexpr bool stages_codes(int64_t m, int bits, int64_t group) {
  return m >= kStagedRows && group <= kStagedMostBlock &&
         (bits == 8 || group <= kStagedGroup);
}
constexpr int64_t staged_block(int64_t group) {
  return group > kStagedBlock ? group : kStagedBlock / group * group;
}
// Two of long blocks.
constexpr int64_t staged_tiles_at_once(int64_t group) {
  return staged_block(group) > kStagedMostBlock / 2 ? kStagedTiles / 2
                                                    : kStagedTiles;
}

struct alignas(64) StagedPairs {
  uint16_t codes[kStagedTiles / 2 * kStagedMostBlock * kLowbitTile];
};
struct alignas(64) StagedSums {
  float acc[kStagedTiles][8][kLowbitTile];
};

// linear_lowbit_bf16, AMX: codes as tiles of pairs, 32 KiB, so that rows after
// the first find them in the first cache.
constexpr int64_t kBf16AmxBlock = 256;  // values of K unpacked at a time
constexpr int64_t kBf16AmxRows = 512;   // rows with partial sums
constexpr int64_t kBf16AmxSegments = kBf16AmxBlock / kLowbitChunk;
// Segments whose sums leave the tiles before they are scaled, so that partial
// sums of the rows are read and written once for them.
constexpr int64_t kBf16AmxAtOnce = 4;

struct alignas(64) Bf16AmxWorkspace {
  uint16_t w[kTilesAcross][kBf16AmxBlock * kLowbitTile];
  TileFloats sum[kBf16AmxAtOnce][kTilesAcross];
  // Of the segments of a block.
  float scales[kBf16AmxSegments][kTilesAcross][kTileSide];
  float shifts[kBf16AmxSegments][kTilesAcross][kTileSide];
  float x_sums[kBf16AmxSegments][kTileSide];
};
// Of 16 rows.
struct alignas(64) Bf16AmxSlot {
  TileFloats acc[kTilesAcross];
};

// linear_lowbit_float: values of two tiles and a block of K.
constexpr int64_t kFloatRows = 384;  // rows with sums
static_assert(kFloatRows % kFloatPanel == 0);

struct alignas(64) FloatWorkspace {
  float w[2][kFloatBlock][kLowbitTile];
};
// Both sums of a row.
struct alignas(64) FloatRow {
  float acc[2][2][kLowbitTile];  // [sum][tile]
};

}  // namespace
}  // namespace mantissa::kernels
