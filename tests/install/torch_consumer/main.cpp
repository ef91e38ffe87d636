// What a project of our users' looks like: quantize a Linear, run it, save it
// into the directory that the first argument names, and again over it.
#include <cstdio>

#include <ATen/ops/allclose.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/randn.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/linear.h>

#include <mantissa/configs/int8_weight_only.h>
#include <mantissa/torch/checkpoint.h>
#include <mantissa/torch/quantize.h>

namespace {

bool saves_twice(torch::nn::Linear& linear, const char* directory) {
  torch::nn::Sequential net(linear);
  for (int i = 0; i < 2; ++i) {
    mantissa::save_checkpoint(*net, directory, {.overwrite = true});
  }
  return mantissa::load_checkpoint(*net, directory).quantized.size() == 1;
}

}  // namespace

int main(int argc, char** argv) {
  torch::nn::Linear linear(64, 32);
  const auto report =
      mantissa::quantize_(*linear, mantissa::Int8WeightOnlyConfig{});
  std::printf("%s", report.text().c_str());
  const at::Tensor x = at::randn({4, 64});
  const at::Tensor values = mantissa::dequantize(linear->weight);
  const bool runs =
      at::allclose(linear(x), at::linear(x, values, linear->bias), 1e-4, 1e-4);
  return argc == 2 && runs && saves_twice(linear, argv[1]) ? 0 : 1;
}
