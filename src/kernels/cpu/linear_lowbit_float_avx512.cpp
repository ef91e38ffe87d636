#include "kernels/cpu/columns_avx512.h"
#include "kernels/cpu/linear_lowbit_float_loops.h"

namespace mantissa::kernels {

void run_linear_lowbit_float_avx512(const LinearLowbitFloatArgs& args,
                                    const LinearLowbitTiles& tiles) {
  run_float_bits<Columns16>(args, tiles);
}

}  // namespace mantissa::kernels
