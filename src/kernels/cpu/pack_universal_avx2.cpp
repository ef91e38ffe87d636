#include "kernels/cpu/lanes_avx2.h"
#include "kernels/cpu/pack_universal_loops.h"
#include "kernels/cpu/unpack_universal_loops.h"

namespace mantissa::kernels {

bool run_pack_universal_avx2(const PackUniversalProblem& problem,
                             const PackUniversalArgs& args) {
  return pack_universal_loop<LanesAvx2>(problem, args);
}

bool run_unpack_universal_avx2(const PackUniversalProblem& problem,
                               const UnpackUniversalArgs& args) {
  return unpack_universal_loop<LanesAvx2>(problem, args);
}

}  // namespace mantissa::kernels
