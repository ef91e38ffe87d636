#pragma once

#include <ATen/core/Tensor.h>

namespace mantissa {

/// x [.., K] times the transposed weight [N, K], computed in x's dtype. A plain
/// bfloat16 weight on the CPU takes float32 x too: a few rows are multiplied
/// with the weight as it lies in memory (kernels/decode_ops), more with its
/// float32 values, a block of its rows at a time.
at::Tensor linear_plain(const at::Tensor& x, const at::Tensor& weight);

}  // namespace mantissa
