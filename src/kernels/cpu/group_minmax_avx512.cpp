#include "kernels/cpu/group_minmax_loops.h"
#include "kernels/cpu/vector_avx512.h"

namespace mantissa::kernels {

void run_group_minmax_avx512(Element x, const GroupMinmaxArgs& args) {
  group_minmax_loop<Avx512>(x, args);
}

}  // namespace mantissa::kernels
