#pragma once

#include <span>
#include <vector>

#include <mantissa/core/dtype.h>

#include "kernels/group_minmax_args.h"
#include "kernels/select.h"

namespace mantissa::kernels {

/// Minimum and maximum of each group, exact. -0 counts as less than +0; a NaN
/// in a group makes its minimum or its maximum NaN; an empty group gives 0, 0.
struct GroupMinmaxProblem {
  Element x = Element::Bf16;
};

struct GroupMinmaxKernel {
  const char* name;
  const char* (*refuses)(const GroupMinmaxProblem&, const Caps&);
  void (*run)(Element, const GroupMinmaxArgs&);
};

/// Rows in order of preference.
std::span<const GroupMinmaxKernel> group_minmax_kernels();

/// Runs the preferred row of this machine. `dtype` is float32, bfloat16 or
/// float16. The largest magnitude of a group is max(-min, max).
void group_minmax(DType dtype, const GroupMinmaxArgs& args);

void list_group_minmax(const Caps& caps, std::vector<KernelInfo>& out);

}  // namespace mantissa::kernels
