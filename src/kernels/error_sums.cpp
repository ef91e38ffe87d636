#include "kernels/error_sums.h"

#include "kernels/common/element_dtype.h"
#include "kernels/common/refusals.h"

namespace mantissa::kernels {
namespace {

constexpr const char* kOp = "error_sums";

constexpr ErrorSumsKernel kCpu[] = {
    {"error_sums_avx512",
     needs_avx512<ErrorSumsProblem>,
     run_error_sums_avx512},
    {"error_sums_avx2", needs_avx2<ErrorSumsProblem>, run_error_sums_avx2},
    {"error_sums_ref", accepts_any<ErrorSumsProblem>, run_error_sums_ref},
};

}  // namespace

std::span<const ErrorSumsKernel> error_sums_kernels() { return kCpu; }

void error_sums(DType dtype, const ErrorSumsArgs& args) {
  const ErrorSumsProblem problem{to_element(dtype)};
  select(kOp, error_sums_kernels(), problem, host_caps()).run(problem.x, args);
}

void list_error_sums(const Caps& caps, std::vector<KernelInfo>& out) {
  list_kernels(kOp, error_sums_kernels(), ErrorSumsProblem{}, caps, out);
}

}  // namespace mantissa::kernels
