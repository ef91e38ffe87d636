#pragma once

#include <cstdint>
#include <span>

#include <ATen/core/Tensor.h>

#include <mantissa/torch/int8_compute.h>

#include "formats/lowbit_weight.h"

namespace mantissa {

/// Rows [ends[e - 1], ends[e]) of x [T, K] (float32, bfloat16 or float16, on
/// the CPU) times expert e of a packed weight [E, N, K], transposed: [T, N] in
/// x's dtype, each row as linear_lowbit() gives it for that expert alone, to
/// the bit; rows behind the last offset are 0. Throws c10::ValueError and
/// c10::TypeError naming the argument: for offsets that are not E, not rising
/// or beyond T too.
at::Tensor grouped_linear_lowbit(const at::Tensor& x,
                                 const LowbitWeight& weight,
                                 std::span<const std::int64_t> ends,
                                 Int8Compute activation);

}  // namespace mantissa
