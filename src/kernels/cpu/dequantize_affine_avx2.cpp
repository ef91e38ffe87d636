#include "kernels/cpu/dequantize_affine_loops.h"
#include "kernels/cpu/vector_avx2.h"

namespace mantissa::kernels {

void run_dequantize_affine_avx2(Element out, const DequantizeAffineArgs& args) {
  dequantize_affine_loop<Avx2>(out, args);
}

}  // namespace mantissa::kernels
