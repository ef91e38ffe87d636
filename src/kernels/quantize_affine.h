#pragma once

#include <span>
#include <vector>

#include <mantissa/core/dtype.h>

#include "kernels/quantize_affine_args.h"
#include "kernels/select.h"

namespace mantissa::kernels {

struct QuantizeAffineKernel {
  const char* name;
  const char* (*refuses)(const QuantizeAffineProblem&, const Caps&);
  void (*run)(const QuantizeAffineProblem&, const QuantizeAffineArgs&);
};

/// Rows in order of preference.
std::span<const QuantizeAffineKernel> quantize_affine_kernels();

/// Runs the preferred row of this machine. `x` is float32, bfloat16 or float16;
/// `product` is float32 or the same as `x`.
void quantize_affine(DType x, DType product, const QuantizeAffineArgs& args);

/// The same with AffineRounding::Quotient.
void quantize_quotients(DType x, const QuantizeAffineArgs& args);

void list_quantize_affine(const Caps& caps, std::vector<KernelInfo>& out);

}  // namespace mantissa::kernels
