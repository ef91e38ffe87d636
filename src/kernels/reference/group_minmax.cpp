#include <algorithm>
#include <bit>

#include "kernels/common/load_element.h"
#include "kernels/group_minmax_args.h"

namespace mantissa::kernels {
namespace {

// Integers in the order of the values: sign and magnitude turned into two's
// complement, so that NaNs lie beyond the infinities. Its own inverse.
std::int32_t order(std::int32_t bits) {
  return bits < 0 ? bits ^ 0x7fffffff : bits;
}

template <Element kElement>
void minmax(const GroupMinmaxArgs& args) {
  const auto at = [&](std::int64_t i) {
    return order(
        std::bit_cast<std::int32_t>(load_element(kElement, args.x, i)));
  };
  for (std::int64_t g = 0; g < args.groups; ++g) {
    const std::int64_t first = g * args.group;
    std::int32_t low = args.group > 0 ? at(first) : 0;
    std::int32_t high = low;
    for (std::int64_t i = 1; i < args.group; ++i) {
      const std::int32_t value = at(first + i);
      low = std::min(low, value);
      high = std::max(high, value);
    }
    args.min[g] = std::bit_cast<float>(order(low));
    args.max[g] = std::bit_cast<float>(order(high));
  }
}

}  // namespace

void run_group_minmax_ref(Element x, const GroupMinmaxArgs& args) {
  switch (x) {
    case Element::F32:
      return minmax<Element::F32>(args);
    case Element::Bf16:
      return minmax<Element::Bf16>(args);
    case Element::F16:
      return minmax<Element::F16>(args);
  }
}

}  // namespace mantissa::kernels
