#pragma once

#include <ATen/core/Tensor.h>

#include "formats/lowbit_weight.h"

namespace mantissa {

/// Rows of a packed weight, [indices, K] in `dtype` (float32, bfloat16 or
/// float16), rounded once from (code - zero point) * scale in float32, or with
/// offsets from code * scale + offset in the weight's dtype.
/// `indices` is int64 or int32 of any shape, on the CPU; throws
/// c10::IndexError that names the first outside [0, N). Runs on the threads of
/// ATen's pool.
at::Tensor embedding_lowbit(const LowbitWeight& weight,
                            const at::Tensor& indices,
                            c10::ScalarType dtype);

}  // namespace mantissa
