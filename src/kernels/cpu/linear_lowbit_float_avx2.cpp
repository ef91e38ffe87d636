#include "kernels/cpu/columns_avx2.h"
#include "kernels/cpu/linear_lowbit_float_loops.h"

namespace mantissa::kernels {

void run_linear_lowbit_float_avx2(const LinearLowbitFloatArgs& args,
                                  const LinearLowbitTiles& tiles) {
  run_float_bits<Columns8>(args, tiles);
}

}  // namespace mantissa::kernels
