#include "kernels/linear_int8.h"

#include "kernels/common/refusals.h"

namespace mantissa::kernels {
namespace {

constexpr const char* kOp = "linear_int8";

using Refuses = const char* (*)(const LinearInt8Problem&, const Caps&);

// Of rows that add in 32 bits.
template <Refuses kRefuses>
const char* short_sums(const LinearInt8Problem& problem, const Caps& caps) {
  if (problem.k > kInt8SumColumns) {
    return "sums of more than 65536 products do not fit 32 bits";
  }
  return kRefuses(problem, caps);
}

constexpr LinearInt8Kernel kCpu[] = {
    {"linear_i8dyn_i8c_amx",
     short_sums<needs_amx_int8>,
     run_linear_i8dyn_i8c_amx},
    {"linear_i8dyn_i8c_avx512vnni",
     short_sums<needs_avx512vnni>,
     run_linear_i8dyn_i8c_avx512vnni},
    {"linear_i8dyn_i8c_avx2",
     short_sums<needs_avx2>,
     run_linear_i8dyn_i8c_avx2},
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
  // Of a prompt, which every row may take.
  const LinearInt8Problem problem = {.m = kAmxLeastRows};
  list_kernels(kOp, linear_int8_kernels(), problem, caps, out);
}

}  // namespace mantissa::kernels
