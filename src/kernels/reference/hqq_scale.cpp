#include <algorithm>
#include <cstddef>
#include <vector>

#include <mantissa/primitives/hqq_scale_only.h>

#include "kernels/hqq_scale_args.h"

namespace mantissa::kernels {
namespace {

IntegerRange range_of(const HqqScaleProblem& problem) {
  return {static_cast<std::int64_t>(problem.low),
          static_cast<std::int64_t>(problem.high)};
}

}  // namespace

void run_hqq_scale_ref(const HqqScaleProblem& problem,
                       const HqqScalePanel& panel) {
  std::vector<float> group(static_cast<std::size_t>(panel.group));
  for (int lane = 0; lane < kHqqLanes; ++lane) {
    for (std::size_t i = 0; i < group.size(); ++i) {
      group[i] = panel.x[i * kHqqLanes + static_cast<std::size_t>(lane)];
    }
    float& scale = panel.scale[lane];
    for (int i = 0; i < panel.iterations; ++i) {
      const float next = hqq_next_scale(group, scale, range_of(problem));
      panel.change[i] =
          std::max(panel.change[i], hqq_relative_change(scale, next));
      scale = next;
    }
  }
}

void run_hqq_codes_ref(const HqqScaleProblem& problem,
                       const HqqCodesArgs& args) {
  for (std::int64_t i = 0; i < args.groups * args.group; ++i) {
    args.codes[i] = static_cast<std::int8_t>(
        hqq_code(args.x[i], args.scale[i / args.group], range_of(problem)));
  }
}

}  // namespace mantissa::kernels
