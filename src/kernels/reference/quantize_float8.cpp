#include <mantissa/primitives/float8.h>

#include "kernels/common/load_element.h"
#include "kernels/quantize_float8.h"

namespace mantissa::kernels {

void run_quantize_float8_ref(const QuantizeFloat8Problem& problem,
                             const QuantizeFloat8Args& args) {
  const Element element = to_element(problem.dtype);
  dispatch_float8(problem.float8_dtype, [&]<class Format>() {
    for (std::int64_t r = 0; r < args.runs; ++r) {
      for (std::int64_t i = r * args.run; i < (r + 1) * args.run; ++i) {
        args.out[i] = quantize_float8_element<Format>(
            load_element(element, args.x, i), args.scale[r]);
      }
    }
  });
}

}  // namespace mantissa::kernels
