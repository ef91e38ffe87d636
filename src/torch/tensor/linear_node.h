#pragma once

#include <ATen/core/Tensor.h>

namespace mantissa {

/// x [.., K] times a wrapped weight, plus bias, with our own backward when a
/// gradient is needed. `out_in`: the weight is [N, K] as in at::linear; else
/// [K, N] as the right side of a product.
at::Tensor wrapped_linear(const at::Tensor& x,
                          const at::Tensor& w,
                          const at::Tensor& bias,
                          bool out_in);

}  // namespace mantissa
