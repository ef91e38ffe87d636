#include "kernels/cpu/lanes_avx512.h"
#include "kernels/cpu/pack_universal_loops.h"
#include "kernels/cpu/unpack_universal_loops.h"

namespace mantissa::kernels {

bool run_pack_universal_avx512(const PackUniversalProblem& problem,
                               const PackUniversalArgs& args) {
  return pack_universal_loop<LanesAvx512>(problem, args);
}

bool run_unpack_universal_avx512(const PackUniversalProblem& problem,
                                 const UnpackUniversalArgs& args) {
  return unpack_universal_loop<LanesAvx512>(problem, args);
}

}  // namespace mantissa::kernels
