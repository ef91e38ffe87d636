#include "kernels/cpu/error_sums_loops.h"
#include "kernels/cpu/vector_avx2.h"

namespace mantissa::kernels {

void run_error_sums_avx2(Element type, const ErrorSumsArgs& args) {
  error_sums_loop<Avx2>(type, args);
}

}  // namespace mantissa::kernels
