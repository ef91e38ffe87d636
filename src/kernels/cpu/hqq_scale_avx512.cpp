#include "kernels/cpu/hqq_scale_loops.h"

namespace mantissa::kernels {

void run_hqq_scale_avx512(const HqqScaleProblem& problem,
                        const HqqScalePanel& panel) {
  hqq_scale_loop(problem, panel);
}

void run_hqq_codes_avx512(const HqqScaleProblem& problem,
                        const HqqCodesArgs& args) {
  hqq_codes_loop(problem, args);
}

}  // namespace mantissa::kernels
