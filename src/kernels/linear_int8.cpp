#include "kernels/linear_int8.h"

#include "kernels/common/refusals.h"

namespace mantissa::kernels {
namespace {

constexpr const char* kOp = "linear_int8";

constexpr LinearInt8Kernel kCpu[] = {
    {"linear_i8dyn_i8c_ref",
     accepts_any<LinearInt8Problem>,
     run_linear_i8dyn_i8c_ref},
};

}  // namespace

std::span<const LinearInt8Kernel> linear_int8_kernels() { return kCpu; }

const LinearInt8Kernel& select_linear_int8(const LinearInt8Problem& problem) {
  return select(kOp, linear_int8_kernels(), problem, host_caps());
}

void list_linear_int8(const Caps& caps, std::vector<KernelInfo>& out) {
  list_kernels(kOp, linear_int8_kernels(), LinearInt8Problem{}, caps, out);
}

}  // namespace mantissa::kernels
