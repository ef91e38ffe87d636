#pragma once

#include <cstdint>

#include <torch/nn/module.h>

namespace mantissa {

/// Layer normalization over the last dimension with weight and bias [size].
class LayerNorm : public torch::nn::Module {
 public:
  LayerNorm(std::int64_t size, double eps, c10::ScalarType dtype);

  at::Tensor forward(const at::Tensor& x);

 private:
  std::int64_t size_;
  double eps_;
};

}  // namespace mantissa
