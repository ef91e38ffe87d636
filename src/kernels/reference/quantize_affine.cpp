#include <algorithm>
#include <cmath>

#include <mantissa/primitives/affine.h>
#include <mantissa/primitives/rounding.h>

#include "kernels/common/load_element.h"
#include "kernels/quantize_affine_args.h"

namespace mantissa::kernels {

namespace {

// round_half_even(clamp(x / scale + zero, qmin, qmax)).
std::uint8_t quotient_code(float x,
                           float scale,
                           float zero,
                           IntegerRange range) {
  const float code = x / scale + zero;
  if (std::isnan(code)) return 0;
  return static_cast<std::uint8_t>(static_cast<std::int32_t>(
      round_half_even(std::clamp(code,
                                 static_cast<float>(range.min),
                                 static_cast<float>(range.max)))));
}

}  // namespace

void run_quantize_affine_ref(const QuantizeAffineProblem& problem,
                             const QuantizeAffineArgs& args) {
  const DType dtype = to_dtype(problem.product);
  const IntegerRange range{args.qmin, args.qmax};
  const bool quotient = problem.rounding == AffineRounding::Quotient;
  for (std::int64_t g = 0; g < args.groups; ++g) {
    const auto zero =
        static_cast<float>(args.zero_point == nullptr ? 0 : args.zero_point[g]);
    for (std::int64_t i = g * args.group; i < (g + 1) * args.group; ++i) {
      const float x = load_element(problem.x, args.x, i);
      args.q[i] = quotient ? quotient_code(x, args.factor[g], zero, range)
                           : static_cast<std::uint8_t>(quantize_affine_element(
                                 x, args.factor[g], zero, range, dtype, dtype));
    }
  }
}

}  // namespace mantissa::kernels
