#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

namespace mantissa {

/// x [.., K] times a wrapped weight, plus bias, with our own backward when a
/// gradient is needed. `out_in`: the weight is [N, K] as in at::linear; else
/// [K, N] as the right side of a product.
at::Tensor wrapped_linear(const at::Tensor& x,
                          const at::Tensor& w,
                          const at::Tensor& bias,
                          bool out_in);

/// Rows [ends[e - 1], ends[e]) of x [T, K] times expert e of a wrapped weight
/// [E, N, K], or [E, K, N] as `out_in` says: [T, N], rows behind the last
/// offset 0. One product with the codes of a packed weight where nothing is
/// differentiated, else one an expert. `ends` as kernels::grouped_ends_error()
/// wants them.
at::Tensor wrapped_grouped_linear(const at::Tensor& x,
                                  const at::Tensor& w,
                                  const std::vector<std::int64_t>& ends,
                                  bool out_in);

}  // namespace mantissa
