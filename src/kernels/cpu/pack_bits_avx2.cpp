#include "kernels/cpu/lanes_avx2.h"
#include "kernels/cpu/pack_bits_loops.h"

namespace mantissa::kernels {

bool run_pack_bits_avx2(const PackBitsProblem& problem,
                        const PackBitsArgs& args) {
  return pack_bits_loop<LanesAvx2>(problem, args);
}

void run_unpack_bits_avx2(const PackBitsProblem& problem,
                          const UnpackBitsArgs& args) {
  unpack_bits_loop<LanesAvx2>(problem, args);
}

}  // namespace mantissa::kernels
