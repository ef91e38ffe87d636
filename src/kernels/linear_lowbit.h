#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/linear_lowbit_args.h"
#include "kernels/select.h"

namespace mantissa::kernels {

/// Products of int8 activations, a scale each row or each group, with low-bit
/// weights in the runtime layout (op "linear_lowbit").
struct LinearLowbitProblem {
  int bits = 4;
  std::int64_t m = 1;
  std::int64_t n = 16;
  std::int64_t k = 32;
};

struct LinearLowbitKernel {
  const char* name;
  const char* (*refuses)(const LinearLowbitProblem&, const Caps&);
  void (*run)(const LinearLowbitArgs&, const LinearLowbitTiles&);
};

/// Rows in order of preference.
std::span<const LinearLowbitKernel> linear_lowbit_kernels();

/// The preferred row of this machine.
const LinearLowbitKernel& select_linear_lowbit(
    const LinearLowbitProblem& problem);

void list_linear_lowbit(const Caps& caps, std::vector<KernelInfo>& out);

}  // namespace mantissa::kernels
