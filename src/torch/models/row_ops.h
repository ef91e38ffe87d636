#pragma once

#include <ATen/core/Tensor.h>

namespace mantissa {

// What stands between the products of many tokens, by the kernels that one
// token takes (decode_ops): one pass over memory where ATen's operators take
// several.

/// True for plain float32 on the CPU outside of autograd.
bool takes_row_ops(const at::Tensor& x);

/// rms_norm of each row of x [.., size]; `weight` [size]. Both take row ops.
at::Tensor rms_norm_rows(const at::Tensor& x,
                         const at::Tensor& weight,
                         double eps,
                         bool one_plus);

/// x [B, T, heads, size], which takes row ops, turned in place by the angles of
/// its T positions, `cos` and `sin` [T, size] (rotate() of models/rope.h).
void rotate_rows(const at::Tensor& x,
                 const at::Tensor& cos,
                 const at::Tensor& sin);

/// silu(gate) * up, written into gate; both take row ops.
void silu_rows(const at::Tensor& gate, const at::Tensor& up);

}  // namespace mantissa
