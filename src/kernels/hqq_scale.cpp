#include "kernels/hqq_scale.h"

#include <algorithm>

#include "kernels/common/refusals.h"

namespace mantissa::kernels {
namespace {

constexpr const char* kOp = "hqq_scale";

constexpr HqqScaleKernel kCpu[] = {
    {"hqq_scale_avx512",
     needs_avx512<HqqScaleProblem>,
     run_hqq_scale_avx512,
     run_hqq_codes_avx512},
    {"hqq_scale_avx2",
     needs_avx2<HqqScaleProblem>,
     run_hqq_scale_avx2,
     run_hqq_codes_avx2},
    {"hqq_scale_ref",
     accepts_any<HqqScaleProblem>,
     run_hqq_scale_ref,
     run_hqq_codes_ref},
};

const HqqScaleKernel& preferred(const HqqScaleProblem& problem) {
  return select(kOp, hqq_scale_kernels(), problem, host_caps());
}

}  // namespace

std::span<const HqqScaleKernel> hqq_scale_kernels() { return kCpu; }

void hqq_scale(const HqqScaleKernel& kernel,
               const HqqScaleProblem& problem,
               const HqqScaleArgs& args) {
  std::vector<float> x(static_cast<std::size_t>(args.group * kHqqLanes));
  for (std::int64_t first = 0; first < args.groups; first += kHqqLanes) {
    const auto lanes = static_cast<int>(
        std::min<std::int64_t>(kHqqLanes, args.groups - first));
    // Lanes without a group hold zeros, whose scale stands still.
    float scale[kHqqLanes];
    std::fill_n(scale, kHqqLanes, 1.0f);
    std::copy_n(args.scale + first, lanes, scale);
    const float* from = args.x + first * args.group;
    for (std::int64_t i = 0; i < args.group; ++i) {
      float* to = x.data() + i * kHqqLanes;
      for (int lane = 0; lane < lanes; ++lane) {
        to[lane] = from[lane * args.group + i];
      }
      std::fill(to + lanes, to + kHqqLanes, 0.0f);
    }
    kernel.run(problem,
               {x.data(),
                args.group,
                static_cast<int>(args.change.size()),
                scale,
                args.change.data()});
    std::copy_n(scale, lanes, args.scale + first);
  }
}

void hqq_scale(const HqqScaleProblem& problem, const HqqScaleArgs& args) {
  hqq_scale(preferred(problem), problem, args);
}

void hqq_codes(const HqqScaleProblem& problem, const HqqCodesArgs& args) {
  preferred(problem).codes(problem, args);
}

void list_hqq_scale(const Caps& caps, std::vector<KernelInfo>& out) {
  list_kernels(kOp, hqq_scale_kernels(), HqqScaleProblem{}, caps, out);
}

}  // namespace mantissa::kernels
