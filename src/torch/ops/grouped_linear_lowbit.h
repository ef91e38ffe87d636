#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include <ATen/core/Tensor.h>

#include <mantissa/torch/int8_compute.h>

#include "formats/lowbit_weight.h"

namespace mantissa {

/// What `product` gives, [T', N], for rows [0, ends.back()) of x [T, K]
/// (float32, bfloat16 or float16, on the CPU), of which [ends[e - 1], ends[e])
/// meet expert e of a weight of `shape` [E, N, K]; rows behind them are 0.
/// Throws c10::ValueError and c10::TypeError naming the argument: for offsets
/// that are not E, not rising or beyond T too.
at::Tensor grouped_product(
    const at::Tensor& x,
    const Shape& shape,
    std::span<const std::int64_t> ends,
    const std::function<at::Tensor(const at::Tensor&)>& product);

/// Rows [ends[e - 1], ends[e]) of x times expert e of a packed weight
/// [E, N, K], transposed: [T, N] in x's dtype, each row as linear_lowbit()
/// gives it for that expert alone, to the bit. The rest as grouped_product().
at::Tensor grouped_linear_lowbit(const at::Tensor& x,
                                 const LowbitWeight& weight,
                                 std::span<const std::int64_t> ends,
                                 Int8Compute activation);

}  // namespace mantissa
