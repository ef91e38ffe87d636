#pragma once

#include <cstdint>

#include <mantissa/core/tensor_view.h>

namespace mantissa {

/// Elements [begin, end) of dimension `dim` of a dense tensor, as a dense copy;
/// dtypes of whole bytes. Throws Error(Usage) when the range is outside.
HostTensor slice_dense(ConstTensorView tensor,
                       std::int64_t dim,
                       std::int64_t begin,
                       std::int64_t end);

/// `tensor` without its first dimension, at `index` of it: a view.
ConstTensorView select_dense(ConstTensorView tensor, std::int64_t index);

}  // namespace mantissa
