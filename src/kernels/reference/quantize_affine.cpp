#include <mantissa/primitives/affine.h>

#include "kernels/common/load_element.h"
#include "kernels/quantize_affine_args.h"

namespace mantissa::kernels {

void run_quantize_affine_ref(Element x,
                             Element product,
                             const QuantizeAffineArgs& args) {
  const DType dtype = to_dtype(product);
  const IntegerRange range{args.qmin, args.qmax};
  for (std::int64_t g = 0; g < args.groups; ++g) {
    const auto zero =
        static_cast<float>(args.zero_point == nullptr ? 0 : args.zero_point[g]);
    for (std::int64_t i = g * args.group; i < (g + 1) * args.group; ++i) {
      args.q[i] = static_cast<std::uint8_t>(
          quantize_affine_element(load_element(x, args.x, i),
                                  args.reciprocal[g],
                                  zero,
                                  range,
                                  dtype,
                                  dtype));
    }
  }
}

}  // namespace mantissa::kernels
