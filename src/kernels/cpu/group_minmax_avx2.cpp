#include "kernels/cpu/group_minmax_loops.h"
#include "kernels/cpu/vector_avx2.h"

namespace mantissa::kernels {

void run_group_minmax_avx2(Element x, const GroupMinmaxArgs& args) {
  group_minmax_loop<Avx2>(x, args);
}

}  // namespace mantissa::kernels
