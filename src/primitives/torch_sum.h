#pragma once

#include <span>

namespace mantissa {

/// Sum in float32 in the order of torch's CPU kernel on AVX2 for a contiguous
/// inner dimension, so that it rounds alike: values are dealt to 4 x 8 partial
/// sums, which are kept short by a cascade, then added one after the other.
float torch_sum(std::span<const float> values);

}  // namespace mantissa
