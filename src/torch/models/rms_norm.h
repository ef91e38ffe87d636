#pragma once

#include <cstdint>

#include <torch/nn/module.h>

namespace mantissa {

/// x / sqrt(mean(x^2) + eps) over the last dimension, computed in float32:
/// cast to x's dtype and multiplied by weight [size], or (`one_plus`)
/// multiplied by 1 + weight and cast.
class RmsNorm : public torch::nn::Module {
 public:
  RmsNorm(std::int64_t size, double eps, bool one_plus, c10::ScalarType dtype);

  at::Tensor forward(const at::Tensor& x);

  /// The registry is the one place of the weight, its only parameter:
  /// quantize_() and loaders replace it there.
  const at::Tensor& weight() const { return parameters_.front().value(); }
  double eps() const { return eps_; }

 private:
  double eps_;
  bool one_plus_;
};

}  // namespace mantissa
