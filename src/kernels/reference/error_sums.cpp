#include "kernels/common/error_lanes.h"
#include "kernels/common/load_element.h"

namespace mantissa::kernels {

void run_error_sums_ref(Element type, const ErrorSumsArgs& args) {
  for (std::int64_t r = 0; r < args.rows; ++r) {
    ErrorLanes lanes;
    for (std::int64_t i = 0; i < args.columns; ++i) {
      const std::int64_t at = r * args.columns + i;
      lanes.add(
          i, load_element(type, args.x, at), load_element(type, args.y, at));
    }
    args.sums[r] = lanes.finish();
  }
}

}  // namespace mantissa::kernels
