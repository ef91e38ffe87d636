#include "kernels/group_minmax.h"

#include "kernels/common/element_dtype.h"
#include "kernels/common/refusals.h"

namespace mantissa::kernels {
namespace {

constexpr const char* kOp = "group_minmax";

constexpr GroupMinmaxKernel kCpu[] = {
    {"group_minmax_avx512",
     needs_avx512<GroupMinmaxProblem>,
     run_group_minmax_avx512},
    {"group_minmax_avx2",
     needs_avx2<GroupMinmaxProblem>,
     run_group_minmax_avx2},
    {"group_minmax_ref", accepts_any<GroupMinmaxProblem>, run_group_minmax_ref},
};

}  // namespace

std::span<const GroupMinmaxKernel> group_minmax_kernels() { return kCpu; }

void group_minmax(DType dtype, const GroupMinmaxArgs& args) {
  const GroupMinmaxProblem problem{to_element(dtype)};
  select(kOp, group_minmax_kernels(), problem, host_caps())
      .run(problem.x, args);
}

void list_group_minmax(const Caps& caps, std::vector<KernelInfo>& out) {
  list_kernels(kOp, group_minmax_kernels(), GroupMinmaxProblem{}, caps, out);
}

}  // namespace mantissa::kernels
