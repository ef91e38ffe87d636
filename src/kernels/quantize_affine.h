#pragma once

#include <span>
#include <vector>

#include <mantissa/core/dtype.h>

#include "kernels/quantize_affine_args.h"
#include "kernels/select.h"

namespace mantissa::kernels {

/// q = clamp(round_half_even(x * reciprocal) + zero_point, qmin, qmax) with the
/// product rounded to `product`; a NaN product gives 0. Codes lie in
/// [-128, 255], zero points in [-256, 256].
struct QuantizeAffineProblem {
  Element x = Element::Bf16;
  Element product = Element::F32;  ///< F32, or the same as x
};

struct QuantizeAffineKernel {
  const char* name;
  const char* (*refuses)(const QuantizeAffineProblem&, const Caps&);
  void (*run)(Element x, Element product, const QuantizeAffineArgs&);
};

/// Rows in order of preference.
std::span<const QuantizeAffineKernel> quantize_affine_kernels();

/// Runs the preferred row of this machine. `x` is float32, bfloat16 or float16;
/// `product` is float32 or the same as `x`.
void quantize_affine(DType x, DType product, const QuantizeAffineArgs& args);

void list_quantize_affine(const Caps& caps, std::vector<KernelInfo>& out);

}  // namespace mantissa::kernels
