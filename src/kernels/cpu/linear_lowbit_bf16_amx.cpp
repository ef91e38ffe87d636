#include "kernels/cpu/linear_lowbit_bf16_amx_loops.h"
#include "kernels/cpu/tiles_amx.h"

namespace mantissa::kernels {

void run_linear_lowbit_bf16_amx(const LinearLowbitBf16Args& args,
                                const LinearLowbitTiles& tiles) {
  AmxBf16Tiles machine;
  bf16_amx_linear_lowbit(machine, args, tiles);
}

}  // namespace mantissa::kernels
