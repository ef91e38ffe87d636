#pragma once

#include <mantissa/torch/qscaled_dot_product.h>

namespace torch {
class Library;
}

namespace mantissa {

/// qscaled_dot_product() by ATen operators on decoded values, on any device and
/// for both dtypes: torchao's sequence. Arguments are not checked.
at::Tensor qscaled_dot_product_by_aten(const at::Tensor& query,
                                       const at::Tensor& key,
                                       const at::Tensor& value,
                                       const QScaledDotProductOptions& options);

/// mantissa::qscaled_dot_product for torch's dispatcher, with torchao's schema.
void define_qscaled_dot_product(torch::Library& library);

}  // namespace mantissa
