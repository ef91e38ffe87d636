// load_and_run DIRECTORY: saves a quantized module and loads it into a plain
// one of the same names, which then gives the same answers.
#include <cstdio>

#include <torch/torch.h>

#include <mantissa/mantissa.h>

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  torch::manual_seed(0);
  const torch::NoGradGuard no_grad;
  torch::nn::Sequential saved(torch::nn::Linear(64, 128),
                              torch::nn::ReLU(),
                              torch::nn::Linear(128, 16));
  mantissa::quantize_(*saved,
                      mantissa::Int4WeightOnlyConfig{{.group_size = 32}});
  const mantissa::SaveReport report =
      mantissa::save_checkpoint(*saved, argv[1], {.overwrite = true});
  std::printf("%zu file, %lld bytes\n",
              report.files.size(),
              static_cast<long long>(report.bytes));

  torch::nn::Sequential loaded(torch::nn::Linear(64, 128),
                               torch::nn::ReLU(),
                               torch::nn::Linear(128, 16));
  const auto took = mantissa::load_checkpoint(*loaded, argv[1]);
  std::printf("%zu quantized weights, %zu plain tensors\n",
              took.quantized.size(),
              took.plain.size());
  const at::Tensor x = torch::randn({4, 64});
  return torch::equal(saved->forward(x), loaded->forward(x)) ? 0 : 1;
}
