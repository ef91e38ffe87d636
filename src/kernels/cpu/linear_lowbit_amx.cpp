#include "kernels/cpu/linear_lowbit_amx_loops.h"
#include "kernels/cpu/tiles_amx.h"

namespace mantissa::kernels {

void run_linear_lowbit_amx(const LinearLowbitArgs& args,
                           const LinearLowbitTiles& tiles) {
  AmxTiles machine;
  amx_linear_lowbit(machine, args, tiles);
}

}  // namespace mantissa::kernels
