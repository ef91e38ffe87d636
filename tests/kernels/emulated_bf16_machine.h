#pragma once

// Only C headers here: files with the instruction set of a kernel include this.
#include "kernels/emulated_bf16_tiles.h"

namespace mantissa::kernels {
namespace {

/// What AmxBf16Tiles is, on emulated tiles.
struct EmulatedBf16Tiles {
  static void configure(const TileShapes& shapes) {
    configure_emulated_bf16(reinterpret_cast<const uint8_t*>(&shapes));
  }
  static void release() { release_emulated_bf16(); }
  template <int kTile>
  static void zero() {
    zero_emulated_bf16(kTile);
  }
  template <int kTile>
  static void load(const void* from, int64_t stride) {
    load_emulated_bf16(kTile, from, stride);
  }
  template <int kTile>
  static void store(void* to, int64_t stride) {
    store_emulated_bf16(kTile, to, stride);
  }
  template <int kC, int kA, int kB>
  static void multiply() {
    static_assert(kC != kA && kC != kB && kA != kB);
    multiply_emulated_bf16(kC, kA, kB);
  }
};

}  // namespace
}  // namespace mantissa::kernels
