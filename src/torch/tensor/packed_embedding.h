#pragma once

#include <ATen/core/Tensor.h>

namespace mantissa {

/// Rows of a packed weight, [indices, K] in its dtype: rounded to the stored
/// dtype first, as dequantizing does; what is stored as float32 leaves in the
/// weight's dtype at once. Undefined where `weight` is not packed.
at::Tensor packed_embedding(const at::Tensor& weight,
                            const at::Tensor& indices);

}  // namespace mantissa
