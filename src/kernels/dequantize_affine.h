#pragma once

#include <span>
#include <vector>

#include <mantissa/core/dtype.h>

#include "kernels/dequantize_affine_args.h"
#include "kernels/select.h"

namespace mantissa::kernels {

/// out = (q - zero_point) * scale, the difference and the product rounded to
/// the out dtype once each. A NaN may come out with any payload.
struct DequantizeAffineProblem {
  Element out = Element::Bf16;
};

struct DequantizeAffineKernel {
  const char* name;
  const char* (*refuses)(const DequantizeAffineProblem&, const Caps&);
  void (*run)(Element out, const DequantizeAffineArgs&);
};

/// Rows in order of preference.
std::span<const DequantizeAffineKernel> dequantize_affine_kernels();

/// Runs the preferred row of this machine. `out` is float32, bfloat16 or
/// float16.
void dequantize_affine(DType out, const DequantizeAffineArgs& args);

void list_dequantize_affine(const Caps& caps, std::vector<KernelInfo>& out);

}  // namespace mantissa::kernels
