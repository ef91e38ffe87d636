#pragma once

// Only C headers here: instruction-set files include this.
#include <stdint.h>

#include "kernels/common/element.h"

namespace mantissa::kernels {

/// Values of `x` and `groups` runs of `group` contiguous values; any alignment.
struct GroupMinmaxArgs {
  const void* x = nullptr;  ///< [groups, group]
  int64_t groups = 0;
  int64_t group = 0;
  float* min = nullptr;  ///< [groups]
  float* max = nullptr;  ///< [groups]
};

void run_group_minmax_ref(Element x, const GroupMinmaxArgs& args);
void run_group_minmax_avx2(Element x, const GroupMinmaxArgs& args);
void run_group_minmax_avx512(Element x, const GroupMinmaxArgs& args);

}  // namespace mantissa::kernels
