#include "kernels/cpu/quantize_affine_loops.h"
#include "kernels/cpu/vector_avx512.h"

namespace mantissa::kernels {

void run_quantize_affine_avx512(const QuantizeAffineProblem& problem,
                                const QuantizeAffineArgs& args) {
  quantize_affine_loop<Avx512>(problem, args);
}

}  // namespace mantissa::kernels
