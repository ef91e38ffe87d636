#include "kernels/quantize_panels.h"

#include "kernels/common/refusals.h"

namespace mantissa::kernels {
namespace {

constexpr const char* kOp = "quantize_panels";

constexpr QuantizePanelsKernel kCpu[] = {
    {"quantize_panels_avx512",
     needs_avx512<QuantizePanelsProblem>,
     run_quantize_panels_avx512},
    {"quantize_panels_avx2",
     needs_avx2<QuantizePanelsProblem>,
     run_quantize_panels_avx2},
    {"quantize_panels_ref",
     accepts_any<QuantizePanelsProblem>,
     run_quantize_panels_ref},
};

}  // namespace

std::span<const QuantizePanelsKernel> quantize_panels_kernels() { return kCpu; }

const QuantizePanelsKernel& select_quantize_panels(
    const QuantizePanelsProblem& problem) {
  return select(kOp, quantize_panels_kernels(), problem, host_caps());
}

void list_quantize_panels(const Caps& caps, std::vector<KernelInfo>& out) {
  list_kernels(
      kOp, quantize_panels_kernels(), QuantizePanelsProblem{}, caps, out);
}

}  // namespace mantissa::kernels
