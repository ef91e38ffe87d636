#include "kernels/cpu/lanes_avx512.h"
#include "kernels/cpu/pack_bits_loops.h"

namespace mantissa::kernels {

bool run_pack_bits_avx512(const PackBitsProblem& problem,
                          const PackBitsArgs& args) {
  return pack_bits_loop<LanesAvx512>(problem, args);
}

void run_unpack_bits_avx512(const PackBitsProblem& problem,
                            const UnpackBitsArgs& args) {
  unpack_bits_loop<LanesAvx512>(problem, args);
}

}  // namespace mantissa::kernels
