#include <bit>

#include "kernels/common/load_element.h"
#include "kernels/group_minmax_args.h"

namespace mantissa::kernels {
namespace {

// Integers in the order of the values: sign and magnitude turned into two's
// complement, so that NaNs lie beyond the infinities.
std::int32_t order(std::uint32_t bits) {
  const auto value = static_cast<std::int32_t>(bits);
  return value < 0 ? value ^ 0x7fffffff : value;
}

bool less(float a, float b) {
  return order(std::bit_cast<std::uint32_t>(a)) <
         order(std::bit_cast<std::uint32_t>(b));
}

}  // namespace

void run_group_minmax_ref(Element x, const GroupMinmaxArgs& args) {
  for (std::int64_t g = 0; g < args.groups; ++g) {
    const std::int64_t first = g * args.group;
    float min = args.group > 0 ? load_element(x, args.x, first) : 0.0f;
    float max = min;
    for (std::int64_t i = 1; i < args.group; ++i) {
      const float value = load_element(x, args.x, first + i);
      if (less(value, min)) min = value;
      if (less(max, value)) max = value;
    }
    args.min[g] = min;
    args.max[g] = max;
  }
}

}  // namespace mantissa::kernels
