#include "kernels/emulated_tiles.h"

#include <cmath>
#include <cstring>
#include <stdexcept>

#include "kernels/cpu/int8_sums_amx_loops.h"
#include "kernels/cpu/linear_lowbit_amx_loops.h"

namespace mantissa::kernels {
namespace {

void expect(bool holds, const char* rule) {
  if (!holds) throw std::logic_error(rule);
}

bool g_configured = false;

// As the manual of the instructions describes them.
class EmulatedTiles {
 public:
  void configure(const TileShapes& shapes) {
    expect(shapes.palette == 1 && shapes.start_row == 0, "palette 1, row 0");
    for (int i = 0; i < 16; ++i) {
      expect(shapes.rows[i] <= (i < 8 ? 16 : 0) &&
                 shapes.row_bytes[i] <= (i < 8 ? 64 : 0),
             "8 tiles of 16 x 64 bytes");
    }
    shapes_ = shapes;
    std::memset(tiles_, 0x55, sizeof(tiles_));
    g_configured = true;
  }
  void release() { g_configured = false; }

  template <int kTile>
  void zero() {
    rows_of(kTile);
    std::memset(tiles_[kTile], 0, sizeof(tiles_[kTile]));
  }
  template <int kTile>
  void load(const void* from, std::int64_t stride) {
    zero<kTile>();
    for (int r = 0; r < rows_of(kTile); ++r) {
      std::memcpy(tiles_[kTile][r],
                  static_cast<const std::byte*>(from) + r * stride,
                  shapes_.row_bytes[kTile]);
    }
  }
  template <int kTile>
  void store(void* to, std::int64_t stride) {
    for (int r = 0; r < rows_of(kTile); ++r) {
      std::memcpy(static_cast<std::byte*>(to) + r * stride,
                  tiles_[kTile][r],
                  shapes_.row_bytes[kTile]);
    }
  }
  template <int kC, int kA, int kB>
  void multiply() {
    static_assert(kC != kA && kC != kB && kA != kB);
    expect(rows_of(kC) == rows_of(kA), "rows of c and a");
    expect(shapes_.row_bytes[kC] == shapes_.row_bytes[kB], "columns of c, b");
    expect(shapes_.row_bytes[kA] == 4 * rows_of(kB), "K of a and b");
    for (int r = 0; r < rows_of(kC); ++r) {
      for (int c = 0; c < shapes_.row_bytes[kC] / 4; ++c) {
        std::int32_t sum = 0;
        std::memcpy(&sum, tiles_[kC][r] + 4 * c, sizeof(sum));
        for (int k = 0; k < shapes_.row_bytes[kA]; ++k) {
          sum += tiles_[kA][r][k] * tiles_[kB][k / 4][4 * c + k % 4];
        }
        std::memcpy(tiles_[kC][r] + 4 * c, &sum, sizeof(sum));
      }
    }
  }

  static Floats16 fma(const Floats16& a, const Floats16& b, const Floats16& c) {
    Floats16 out = {};
    for (int i = 0; i < 16; ++i) out[i] = std::fma(a[i], b[i], c[i]);
    return out;
  }

 private:
  int rows_of(int tile) const {
    expect(g_configured, "tiles are configured before they are used");
    return shapes_.rows[tile];
  }

  TileShapes shapes_;
  std::int8_t tiles_[8][16][64];
};

void emulated_sums(const std::int8_t* x,
                   const std::int8_t* w,
                   std::int64_t k,
                   std::int64_t rows,
                   std::int64_t columns,
                   std::int32_t* sums) {
  EmulatedTiles machine;
  int8_sums_on_tiles(machine, x, w, k, rows, columns, sums);
}

}  // namespace

void run_linear_lowbit_emulated(const LinearLowbitArgs& args,
                                const LinearLowbitTiles& tiles) {
  EmulatedTiles machine;
  amx_linear_lowbit(machine, args, tiles);
}

void run_linear_int8_emulated(Element out,
                              const LinearInt8Args& args,
                              const LinearInt8Tile& tile) {
  run_linear_int8_with(emulated_sums, out, args, tile);
}

void check_tiles_released() { expect(!g_configured, "tiles are released"); }

}  // namespace mantissa::kernels
