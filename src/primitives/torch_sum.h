#pragma once

#include <span>

namespace mantissa {

/// Sum in float32 in the order of torch's CPU kernel on AVX2 for a contiguous
/// inner dimension, so that it rounds alike: values are dealt to 4 x 8 partial
/// sums, which are kept short by a cascade, then added one after the other.
float torch_sum(std::span<const float> values);

/// The same for a dimension that is not the innermost: one running sum, kept
/// short by the cascade. (torch sums the last columns of a matrix, fewer than
/// 32, in another order.)
float torch_outer_sum(std::span<const float> values);

}  // namespace mantissa
