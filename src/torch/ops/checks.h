#pragma once

#include <algorithm>
#include <initializer_list>

#include <ATen/core/Tensor.h>
#include <c10/util/Exception.h>

namespace mantissa {

/// Throws c10::TypeError naming operator and argument unless the dtype is one
/// of those allowed.
inline void check_dtype(const char* op,
                        const char* argument,
                        const at::Tensor& tensor,
                        std::initializer_list<c10::ScalarType> allowed) {
  const c10::ScalarType found = tensor.scalar_type();
  if (std::ranges::find(allowed, found) != allowed.end()) return;
  TORCH_CHECK_TYPE(false,
                   op,
                   ": ",
                   argument,
                   ": expected ",
                   c10::ArrayRef<c10::ScalarType>(allowed),
                   ", got ",
                   found);
}

/// Throws c10::ValueError unless the tensor has these sizes.
inline void check_sizes(const char* op,
                        const char* argument,
                        const at::Tensor& tensor,
                        c10::IntArrayRef expected) {
  TORCH_CHECK_VALUE(tensor.sizes() == expected,
                    op,
                    ": ",
                    argument,
                    ": expected ",
                    expected,
                    ", got ",
                    tensor.sizes(),
                    " ",
                    tensor.scalar_type());
}

/// Throws c10::ValueError unless the last dimension is `expected` (= `what`).
inline void check_last_dim(const char* op,
                           const char* argument,
                           const at::Tensor& tensor,
                           std::int64_t expected,
                           const char* what) {
  TORCH_CHECK_VALUE(tensor.dim() >= 1 && tensor.size(-1) == expected,
                    op,
                    ": ",
                    argument,
                    ": expected last dim ",
                    expected,
                    " (= ",
                    what,
                    "), got ",
                    tensor.sizes(),
                    " ",
                    tensor.scalar_type());
}

}  // namespace mantissa
