// What a project of our users' looks like: quantize a Linear, run it.
#include <cstdio>

#include <ATen/ops/allclose.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/randn.h>
#include <torch/nn/modules/linear.h>

#include <mantissa/configs/int8_weight_only.h>
#include <mantissa/torch/quantize.h>

int main() {
  torch::nn::Linear linear(64, 32);
  const auto report =
      mantissa::quantize_(*linear, mantissa::Int8WeightOnlyConfig{});
  std::printf("%s", report.text().c_str());
  const at::Tensor x = at::randn({4, 64});
  const at::Tensor values = mantissa::dequantize(linear->weight);
  return at::allclose(
             linear(x), at::linear(x, values, linear->bias), 1e-4, 1e-4)
             ? 0
             : 1;
}
