#include "kernels/cpu/dequantize_affine_loops.h"
#include "kernels/cpu/vector_avx512.h"

namespace mantissa::kernels {

void run_dequantize_affine_avx512(Element out,
                                  const DequantizeAffineArgs& args) {
  dequantize_affine_loop<Avx512>(out, args);
}

}  // namespace mantissa::kernels
