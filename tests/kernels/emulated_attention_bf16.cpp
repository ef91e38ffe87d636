// Compiled with the instruction set of the row: only C headers here.
#include "kernels/cpu/attention_bf16_amx_loops.h"
#include "kernels/emulated_bf16_tiles.h"

namespace mantissa::kernels {
namespace {

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

void attend_bf16_emulated(const AttentionBf16Args& args,
                          const AttentionHead& head,
                          int64_t begin,
                          int64_t end,
                          const void* packed) {
  EmulatedBf16Tiles machine;
  amx_attend_bf16(machine, args, head, begin, end, packed);
}

}  // namespace mantissa::kernels
