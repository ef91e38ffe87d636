#include "kernels/cpu/error_sums_loops.h"
#include "kernels/cpu/vector_avx512.h"

namespace mantissa::kernels {

void run_error_sums_avx512(Element type, const ErrorSumsArgs& args) {
  error_sums_loop<Avx512>(type, args);
}

}  // namespace mantissa::kernels
