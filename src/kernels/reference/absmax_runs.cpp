#include <bit>
#include <cmath>

#include "kernels/absmax_runs.h"
#include "kernels/common/load_element.h"

namespace mantissa::kernels {

void run_absmax_runs_ref(const AbsmaxRunsProblem& problem,
                         const AbsmaxRunsArgs& args) {
  const Element element = to_element(problem.dtype);
  for (std::int64_t r = 0; r < args.runs; ++r) {
    float best = 0.0f;
    for (std::int64_t i = r * args.run; i < (r + 1) * args.run; ++i) {
      const float magnitude = std::fabs(load_element(element, args.x, i));
      if (std::isnan(magnitude)) {
        best = std::bit_cast<float>(0x7fc00000u);
        break;
      }
      if (magnitude > best) best = magnitude;
    }
    args.out[r] = best;
  }
}

}  // namespace mantissa::kernels
