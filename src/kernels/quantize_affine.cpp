#include "kernels/quantize_affine.h"

#include "kernels/common/element_dtype.h"
#include "kernels/common/refusals.h"

namespace mantissa::kernels {
namespace {

constexpr const char* kOp = "quantize_affine";

constexpr QuantizeAffineKernel kCpu[] = {
    {"quantize_affine_avx512",
     needs_avx512<QuantizeAffineProblem>,
     run_quantize_affine_avx512},
    {"quantize_affine_avx2",
     needs_avx2<QuantizeAffineProblem>,
     run_quantize_affine_avx2},
    {"quantize_affine_ref",
     accepts_any<QuantizeAffineProblem>,
     run_quantize_affine_ref},
};

void run(const QuantizeAffineProblem& problem, const QuantizeAffineArgs& args) {
  select(kOp, quantize_affine_kernels(), problem, host_caps())
      .run(problem, args);
}

}  // namespace

std::span<const QuantizeAffineKernel> quantize_affine_kernels() { return kCpu; }

void quantize_affine(DType x, DType product, const QuantizeAffineArgs& args) {
  run({to_element(x), to_element(product)}, args);
}

void quantize_quotients(DType x, const QuantizeAffineArgs& args) {
  run({to_element(x), Element::F32, AffineRounding::Quotient}, args);
}

void list_quantize_affine(const Caps& caps, std::vector<KernelInfo>& out) {
  list_kernels(
      kOp, quantize_affine_kernels(), QuantizeAffineProblem{}, caps, out);
}

}  // namespace mantissa::kernels
