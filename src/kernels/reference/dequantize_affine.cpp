#include <mantissa/primitives/affine.h>

#include "kernels/common/store_element.h"
#include "kernels/dequantize_affine_args.h"

namespace mantissa::kernels {

void run_dequantize_affine_ref(Element out, const DequantizeAffineArgs& args) {
  const DType dtype = to_dtype(out);
  for (std::int64_t i = 0; i < args.groups * args.group; ++i) {
    const std::int64_t g = i / args.group;
    // promote(dtype, scale's dtype) is dtype or float32: one rounding.
    const float value = dequantize_affine_element(static_cast<float>(args.q[i]),
                                                  args.zero_point[g],
                                                  args.scale[g],
                                                  DType::Float32,
                                                  dtype);
    store_element(out, args.out, i, value);
  }
}

}  // namespace mantissa::kernels
