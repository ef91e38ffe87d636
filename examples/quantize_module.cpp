// Makes a module smaller in place: an ordinary model, its weights int8, the
// modules and the code that calls them as they were.
#include <cstdio>
#include <iostream>

#include <torch/torch.h>

#include <mantissa/mantissa.h>

struct ModelImpl : torch::nn::Module {
  ModelImpl() {
    up = register_module("up", torch::nn::Linear(64, 256));
    down = register_module("down", torch::nn::Linear(256, 64));
  }
  at::Tensor forward(const at::Tensor& x) { return down(torch::gelu(up(x))); }

  torch::nn::Linear up = nullptr;
  torch::nn::Linear down = nullptr;
};
TORCH_MODULE(Model);

int main() {
  torch::manual_seed(0);
  const torch::InferenceMode inference;
  Model model;
  const at::Tensor x = torch::randn({8, 64});
  const at::Tensor before = model(x);

  const mantissa::QuantizeReport report = mantissa::quantize_(
      *model,
      mantissa::FqnToConfig{
          {{"down", mantissa::Int8WeightOnlyConfig{}},
           {"_default", mantissa::Int8DynamicActivationInt8WeightConfig{}}}});
  std::cout << report.text() << mantissa::describe(model->up->weight) << '\n';

  const at::Tensor error = (model(x) - before).norm() / before.norm();
  std::printf("relative error of the output: %.4f\n", error.item<double>());
  return error.item<double>() < 0.02 ? 0 : 1;
}
