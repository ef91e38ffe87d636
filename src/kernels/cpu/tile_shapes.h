#pragma once

// Only C headers here: instruction-set files include this.
#include <stdint.h>

namespace mantissa::kernels {
namespace {

/// The shapes of the tile registers, as ldtilecfg reads them.
struct TileShapes {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};
};
static_assert(sizeof(TileShapes) == 64);

/// What the AMX kernels use: 0 .. 3 the sums of 16 rows and 16 columns each, 4
/// the rows, 5 .. 7 the columns, `step` bytes of K (32 or 64) at a time.
inline TileShapes product_tiles(int64_t step) {
  TileShapes out;
  for (int tile = 0; tile < 8; ++tile) {
    out.rows[tile] = static_cast<uint8_t>(tile < 5 ? 16 : step / 4);
    out.row_bytes[tile] = static_cast<uint16_t>(tile == 4 ? step : 64);
  }
  return out;
}

}  // namespace
}  // namespace mantissa::kernels
