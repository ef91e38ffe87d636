#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <mantissa/core/dtype.h>

#include "kernels/select.h"

namespace mantissa::kernels {

/// The largest magnitude of each run of float32, bfloat16 or float16 elements
/// (op "absmax_runs").
struct AbsmaxRunsProblem {
  DType dtype = DType::BFloat16;
};

/// `x` holds `runs` runs of `run` elements each; out[r] is exact, and NaN when
/// the run holds a NaN.
struct AbsmaxRunsArgs {
  const std::byte* x;
  std::int64_t run;
  std::int64_t runs;
  float* out;
};

struct AbsmaxRunsKernel {
  const char* name;
  const char* (*refuses)(const AbsmaxRunsProblem&, const Caps&);
  void (*run)(const AbsmaxRunsProblem&, const AbsmaxRunsArgs&);
};

std::span<const AbsmaxRunsKernel> absmax_runs_kernels();
void list_absmax_runs(const Caps& caps, std::vector<KernelInfo>& out);

void run_absmax_runs_ref(const AbsmaxRunsProblem& problem,
                         const AbsmaxRunsArgs& args);

/// Runs the kernel of this machine.
void absmax_runs(DType dtype, const AbsmaxRunsArgs& args);

}  // namespace mantissa::kernels
