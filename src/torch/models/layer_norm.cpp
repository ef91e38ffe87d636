#include "torch/models/layer_norm.h"

#include <ATen/ops/layer_norm.h>

#include "torch/models/linear_layers.h"

namespace mantissa {

LayerNorm::LayerNorm(std::int64_t size, double eps, c10::ScalarType dtype)
    : size_(size), eps_(eps) {
  register_parameter("weight", meta_parameter({size}, dtype), false);
  register_parameter("bias", meta_parameter({size}, dtype), false);
}

at::Tensor LayerNorm::forward(const at::Tensor& x) {
  return at::layer_norm(
      x, {size_}, parameters_["weight"], parameters_["bias"], eps_);
}

}  // namespace mantissa
