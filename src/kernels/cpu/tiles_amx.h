#pragma once

#include <immintrin.h>

#include "kernels/cpu/lanes16.h"
#include "kernels/cpu/tile_shapes.h"

namespace mantissa::kernels {
namespace {

/// The tile registers of AMX and the FMA of AVX-512: what the loops of the AMX
/// kernels are made of. In assembly, since GCC's own functions do not tell it
/// that a tile is read from memory and take their numbers as text only.
struct AmxTiles {
  void configure(const TileShapes& shapes) {
    __asm__ volatile("ldtilecfg %0" : : "m"(shapes));
  }
  void release() { __asm__ volatile("tilerelease" : : : "memory"); }

  template <int kTile>
  [[gnu::always_inline]] void zero() {
    __asm__ volatile("tilezero %%tmm%c0" : : "i"(kTile));
  }
  /// Rows `stride` bytes apart.
  template <int kTile>
  [[gnu::always_inline]] void load(const void* from, int64_t stride) {
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm%c2"
                     :
                     : "r"(from), "r"(stride), "i"(kTile)
                     : "memory");
  }
  template <int kTile>
  [[gnu::always_inline]] void store(void* to, int64_t stride) {
    __asm__ volatile("tilestored %%tmm%c2, (%0,%1,1)"
                     :
                     : "r"(to), "r"(stride), "i"(kTile)
                     : "memory");
  }
  /// c += a * b: a [rows][K] signed bytes, b [K / 4][columns][4] signed bytes.
  template <int kC, int kA, int kB>
  [[gnu::always_inline]] void multiply() {
    __asm__ volatile("tdpbssd %%tmm%c2, %%tmm%c1, %%tmm%c0"
                     :
                     : "i"(kC), "i"(kA), "i"(kB));
  }

  [[gnu::always_inline]] static Floats16 fma(const Floats16& a,
                                             const Floats16& b,
                                             const Floats16& c) {
    return _mm512_fmadd_ps(a, b, c);
  }
};

/// The same where what is multiplied is bfloat16.
struct AmxBf16Tiles : AmxTiles {
  /// c += a * b: a [rows][K], b [K / 2][columns][2]; sums in float32, subnormal
  /// numbers taken for 0.
  template <int kC, int kA, int kB>
  [[gnu::always_inline]] void multiply() {
    __asm__ volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0"
                     :
                     : "i"(kC), "i"(kA), "i"(kB));
  }
};

}  // namespace
}  // namespace mantissa::kernels
