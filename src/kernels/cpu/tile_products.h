#pragma once

#include "kernels/cpu/lanes16.h"
#include "kernels/cpu/lowbit_workspaces.h"
#include "kernels/cpu/tile_shapes.h"

namespace mantissa::kernels {
namespace {

// Tile registers 0 .. kTiles - 1 become 0, or what stood in `from`.
template <int kTiles, class Machine>
[[gnu::always_inline]] inline void begin_sums(Machine& m,
                                              const TileSums* from) {
  constexpr int64_t kStride = sizeof(from[0][0]);
  if (from == nullptr) {
    m.template zero<0>();
    if constexpr (kTiles > 1) m.template zero<1>();
    if constexpr (kTiles > 2) m.template zero<2>();
    if constexpr (kTiles > 3) m.template zero<3>();
    return;
  }
  m.template load<0>(from[0], kStride);
  if constexpr (kTiles > 1) m.template load<1>(from[1], kStride);
  if constexpr (kTiles > 2) m.template load<2>(from[2], kStride);
  if constexpr (kTiles > 3) m.template load<3>(from[3], kStride);
}

// `Sums`: 16 x 16 of 4 bytes.
template <int kTiles, class Machine, class Sums>
[[gnu::always_inline]] inline void end_sums(Machine& m, Sums* to) {
  constexpr int64_t kStride = sizeof(to[0][0]);
  m.template store<0>(to[0], kStride);
  if constexpr (kTiles > 1) m.template store<1>(to[1], kStride);
  if constexpr (kTiles > 2) m.template store<2>(to[2], kStride);
  if constexpr (kTiles > 3) m.template store<3>(to[3], kStride);
}

// One step of K: rows x times kTiles tiles of columns, `next` bytes apart.
template <int kTiles, class Machine>
[[gnu::always_inline]] inline void add_products(Machine& m,
                                                const int8_t* x,
                                                int64_t x_stride,
                                                const int8_t* w,
                                                int64_t next) {
  m.template load<4>(x, x_stride);
  m.template load<5>(w, kTileDepth);
  m.template multiply<0, 4, 5>();
  if constexpr (kTiles > 1) {
    m.template load<6>(w + next, kTileDepth);
    m.template multiply<1, 4, 6>();
  }
  if constexpr (kTiles > 2) {
    m.template load<7>(w + 2 * next, kTileDepth);
    m.template multiply<2, 4, 7>();
  }
  if constexpr (kTiles > 3) {
    m.template load<5>(w + 3 * next, kTileDepth);
    m.template multiply<3, 4, 5>();
  }
}

}  // namespace
}  // namespace mantissa::kernels
