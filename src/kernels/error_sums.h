#pragma once

#include <span>
#include <vector>

#include <mantissa/core/dtype.h>

#include "kernels/error_sums_args.h"
#include "kernels/select.h"

namespace mantissa::kernels {

/// Signal, noise and extremes of each row, in double. The rows of the table
/// agree to the bit where x and y are finite.
struct ErrorSumsProblem {
  Element x = Element::Bf16;
};

struct ErrorSumsKernel {
  const char* name;
  const char* (*refuses)(const ErrorSumsProblem&, const Caps&);
  void (*run)(Element, const ErrorSumsArgs&);
};

/// Rows in order of preference.
std::span<const ErrorSumsKernel> error_sums_kernels();

/// Runs the preferred row of this machine. `dtype`, of x and y alike, is
/// float32, bfloat16 or float16.
void error_sums(DType dtype, const ErrorSumsArgs& args);

void list_error_sums(const Caps& caps, std::vector<KernelInfo>& out);

}  // namespace mantissa::kernels
