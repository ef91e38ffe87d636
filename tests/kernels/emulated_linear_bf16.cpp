// Compiled with the instruction set of the row: only C headers here.
#include "kernels/cpu/linear_lowbit_bf16_amx_loops.h"
#include "kernels/emulated_bf16_machine.h"

namespace mantissa::kernels {

void run_linear_lowbit_bf16_emulated(const LinearLowbitBf16Args& args,
                                     const LinearLowbitTiles& tiles) {
  EmulatedBf16Tiles machine;
  bf16_amx_linear_lowbit(machine, args, tiles);
}

}  // namespace mantissa::kernels
