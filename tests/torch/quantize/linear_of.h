#pragma once

#include <memory>

#include <torch/torch.h>

#include "torch/quantize/module_parameters.h"

namespace mantissa::tests {

/// A linear with this weight, quantized or not, and a random bias.
inline std::shared_ptr<torch::nn::LinearImpl> linear_of(
    const at::Tensor& weight) {
  auto linear = std::make_shared<torch::nn::LinearImpl>(
      torch::nn::LinearOptions(weight.size(1), weight.size(0)));
  linear->to(weight.scalar_type());
  for (const Parameter& parameter : parameters_of(*linear)) {
    if (parameter.places.front().key == "weight") {
      parameter.places.front().put(weight);
    }
  }
  return linear;
}

}  // namespace mantissa::tests
