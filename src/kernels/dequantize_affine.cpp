#include "kernels/dequantize_affine.h"

#include "kernels/common/element_dtype.h"
#include "kernels/common/refusals.h"

namespace mantissa::kernels {
namespace {

constexpr const char* kOp = "dequantize_affine";

constexpr DequantizeAffineKernel kCpu[] = {
    {"dequantize_affine_avx512",
     needs_avx512<DequantizeAffineProblem>,
     run_dequantize_affine_avx512},
    {"dequantize_affine_avx2",
     needs_avx2<DequantizeAffineProblem>,
     run_dequantize_affine_avx2},
    {"dequantize_affine_ref",
     accepts_any<DequantizeAffineProblem>,
     run_dequantize_affine_ref},
};

}  // namespace

std::span<const DequantizeAffineKernel> dequantize_affine_kernels() {
  return kCpu;
}

void dequantize_affine(DType out, const DequantizeAffineArgs& args) {
  const DequantizeAffineProblem problem{to_element(out)};
  select(kOp, dequantize_affine_kernels(), problem, host_caps())
      .run(problem.out, args);
}

void list_dequantize_affine(const Caps& caps, std::vector<KernelInfo>& out) {
  list_kernels(
      kOp, dequantize_affine_kernels(), DequantizeAffineProblem{}, caps, out);
}

}  // namespace mantissa::kernels
