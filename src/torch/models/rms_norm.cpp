#include "torch/models/rms_norm.h"

#include <ATen/core/Tensor.h>

#include "torch/models/linear_layers.h"
#include "torch/models/row_ops.h"

namespace mantissa {

RmsNorm::RmsNorm(std::int64_t size,
                 double eps,
                 bool one_plus,
                 c10::ScalarType dtype)
    : eps_(eps), one_plus_(one_plus) {
  register_parameter("weight", meta_parameter({size}, dtype), false);
}

at::Tensor RmsNorm::forward(const at::Tensor& x) {
  if (takes_row_ops(x) && takes_row_ops(weight())) {
    return rms_norm_rows(x, weight(), eps_, one_plus_);
  }
  const at::Tensor wide = x.to(at::kFloat);
  const at::Tensor norm =
      wide * wide.square().mean(-1, /*keepdim=*/true).add(eps_).rsqrt();
  if (!one_plus_) return weight() * norm.to(x.scalar_type());
  return (norm * weight().to(at::kFloat).add(1)).to(x.scalar_type());
}

}  // namespace mantissa
