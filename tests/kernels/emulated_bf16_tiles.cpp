#include "kernels/emulated_bf16_tiles.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <stdexcept>

namespace mantissa::kernels {
namespace {

constexpr float kLeastNormal = 0x1p-126F;

TileShapes g_shapes;
bool g_configured = false;
std::uint32_t g_tiles[8][16][16];

void expect(bool holds, const char* rule) {
  if (!holds) throw std::logic_error(rule);
}

int rows_of(int tile) {
  expect(g_configured, "tiles are configured before they are used");
  return g_shapes.rows[tile];
}

float flushed(float v) {
  return std::abs(v) < kLeastNormal ? std::copysign(0.0F, v) : v;
}
float low(std::uint32_t pair) {
  return flushed(std::bit_cast<float>(pair << 16));
}
float high(std::uint32_t pair) {
  return flushed(std::bit_cast<float>(pair & 0xffff0000));
}

// A product of two bfloat16 numbers is a float32 number, so that this is a
// fused multiply-add.
void add(float& sum, float a, float b) { sum = flushed(sum + a * b); }

}  // namespace

void configure_emulated_bf16(const std::uint8_t* shapes) {
  std::memcpy(&g_shapes, shapes, sizeof(g_shapes));
  expect(g_shapes.palette == 1 && g_shapes.start_row == 0, "palette 1, row 0");
  for (int i = 0; i < 16; ++i) {
    expect(g_shapes.rows[i] <= (i < 8 ? 16 : 0) &&
               g_shapes.row_bytes[i] <= (i < 8 ? 64 : 0),
           "8 tiles of 16 x 64 bytes");
  }
  // What stood in them must not matter: NaN.
  std::memset(g_tiles, 0xff, sizeof(g_tiles));
  g_configured = true;
}

void release_emulated_bf16() { g_configured = false; }

void zero_emulated_bf16(int tile) {
  rows_of(tile);
  std::memset(g_tiles[tile], 0, sizeof(g_tiles[tile]));
}

void load_emulated_bf16(int tile, const void* from, std::int64_t stride) {
  zero_emulated_bf16(tile);
  for (int r = 0; r < rows_of(tile); ++r) {
    std::memcpy(g_tiles[tile][r],
                static_cast<const std::byte*>(from) + r * stride,
                g_shapes.row_bytes[tile]);
  }
}

void store_emulated_bf16(int tile, void* to, std::int64_t stride) {
  for (int r = 0; r < rows_of(tile); ++r) {
    std::memcpy(static_cast<std::byte*>(to) + r * stride,
                g_tiles[tile][r],
                g_shapes.row_bytes[tile]);
  }
}

// First and second elements of pairs have a sum each, which are added to each
// other and then to c.
void multiply_emulated_bf16(int c, int a, int b) {
  expect(rows_of(c) == rows_of(a), "rows of c and a");
  expect(g_shapes.row_bytes[c] == g_shapes.row_bytes[b], "columns of c, b");
  expect(g_shapes.row_bytes[a] == 4 * rows_of(b), "K of a and b");
  float columns[16][2][16];
  for (int p = 0; p < rows_of(b); ++p) {
    for (int n = 0; n < 16; ++n) {
      columns[p][0][n] = low(g_tiles[b][p][n]);
      columns[p][1][n] = high(g_tiles[b][p][n]);
    }
  }
  for (int r = 0; r < rows_of(c); ++r) {
    float sums[2][16] = {};
    for (int p = 0; p < rows_of(b); ++p) {
      const std::uint32_t pair = g_tiles[a][r][p];
      for (int n = 0; n < 16; ++n) add(sums[0][n], low(pair), columns[p][0][n]);
      for (int n = 0; n < 16; ++n) {
        add(sums[1][n], high(pair), columns[p][1][n]);
      }
    }
    for (int n = 0; n < g_shapes.row_bytes[c] / 4; ++n) {
      const float old = flushed(std::bit_cast<float>(g_tiles[c][r][n]));
      const float more = flushed(sums[0][n] + sums[1][n]);
      g_tiles[c][r][n] = std::bit_cast<std::uint32_t>(flushed(old + more));
    }
  }
}

void check_bf16_tiles_released() {
  expect(!g_configured, "tiles are released");
}

}  // namespace mantissa::kernels
