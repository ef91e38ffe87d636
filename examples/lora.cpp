// LoRA on a frozen quantized base: the base is int8 and has no gradient, two
// small plain matrices learn beside it.
#include <cstdio>

#include <torch/torch.h>

#include <mantissa/mantissa.h>

struct LoraLinearImpl : torch::nn::Module {
  LoraLinearImpl(std::int64_t in, std::int64_t out, std::int64_t rank) {
    base = register_module("base", torch::nn::Linear(in, out));
    a = register_parameter("a", torch::randn({rank, in}) * 0.05);
    b = register_parameter("b", torch::zeros({out, rank}));
  }
  at::Tensor forward(const at::Tensor& x) {
    return base(x) + x.mm(a.t()).mm(b.t());
  }

  torch::nn::Linear base = nullptr;
  at::Tensor a;
  at::Tensor b;
};
TORCH_MODULE(LoraLinear);

int main() {
  torch::manual_seed(0);
  LoraLinear layer(32, 16, 4);
  mantissa::quantize_(*layer->base, mantissa::Int8WeightOnlyConfig{});
  layer->base->bias.set_requires_grad(false);

  const at::Tensor x = torch::randn({64, 32});
  const at::Tensor wanted =
      layer(x).detach() + x.mm(torch::randn({32, 2})).mm(torch::randn({2, 16}));
  torch::optim::Adam optimizer({layer->a, layer->b}, 0.02);
  double first = 0;
  double last = 0;
  for (int step = 0; step < 300; ++step) {
    optimizer.zero_grad();
    const at::Tensor loss = torch::mse_loss(layer(x), wanted);
    loss.backward();
    optimizer.step();
    last = loss.item<double>();
    if (step == 0) first = last;
  }
  std::printf("loss %.4f -> %.4f\n", first, last);
  const bool frozen = !layer->base->weight.grad().defined();
  return frozen && last < 0.05 * first ? 0 : 1;
}
