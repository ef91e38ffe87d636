// The way of one linear through torch's dispatcher, weight [64, 64], M = 1, one
// thread: plain, and quantized in each way. Each case checks its result first.
// `above` is what it takes beyond the plain module of the same run.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <torch/torch.h>

#include <mantissa/configs/registry.h>
#include <mantissa/torch/quantize.h>
#include <mantissa/torch/quantized_tensor.h>

namespace mantissa {
namespace {

constexpr std::int64_t kSize = 64;

struct Case {
  std::string name;
  std::string config;  // "" leaves the weight plain
};

const std::vector<Case>& cases() {
  static const std::vector<Case> all = {
      {"plain", ""},
      {"int8_weight_only", "int8_weight_only"},
      {"int8_dynamic", "int8_dynamic_activation_int8_weight"},
      {"int8_dynamic_int4",
       "int8_dynamic_activation_intx_weight:weight_dtype=int4"},
      {"float8_weight_only", "float8_weight_only"},
  };
  return all;
}

torch::nn::Linear make_linear(const std::string& config) {
  torch::manual_seed(1);
  torch::nn::Linear linear(kSize, kSize);
  if (!config.empty()) quantize_(*linear, parse_config_words(config));
  return linear;
}

// Within what codes of 4 bits and more do to a product.
bool is_sound(torch::nn::Linear& linear, const at::Tensor& x) {
  const at::Tensor truth = make_linear("")(x);
  return (linear(x) - truth).abs().max().item<float>() < 0.5F;
}

double best_ns(const std::function<void()>& call) {
  using Clock = std::chrono::steady_clock;
  constexpr int kCalls = 1000;
  double best = 1e30;
  for (int repeat = 0; repeat < 25; ++repeat) {
    const auto begin = Clock::now();
    for (int i = 0; i < kCalls; ++i) call();
    const std::chrono::duration<double, std::nano> took = Clock::now() - begin;
    best = std::min(best, took.count() / kCalls);
  }
  return best;
}

void run(benchmark::State& state, const Case& which) {
  const torch::NoGradGuard no_grad;
  const at::Tensor x = torch::randn({1, kSize});
  torch::nn::Linear linear = make_linear(which.config);
  torch::nn::Linear plain = make_linear("");
  if (!is_sound(linear, x)) {
    state.SkipWithError("wrong result");
    return;
  }
  for (auto _ : state) benchmark::DoNotOptimize(linear(x));
  const double ours = best_ns([&] { benchmark::DoNotOptimize(linear(x)); });
  const double base = best_ns([&] { benchmark::DoNotOptimize(plain(x)); });
  state.counters["best_ns"] = ours;
  state.counters["above_ns"] = ours - base;
}

}  // namespace
}  // namespace mantissa

int main(int argc, char** argv) {
  at::set_num_threads(1);
  benchmark::Initialize(&argc, argv);
  for (const mantissa::Case& which : mantissa::cases()) {
    benchmark::RegisterBenchmark(
        ("torch_linear/" + which.name + "/m1_n64_k64").c_str(),
        [&which](benchmark::State& state) { mantissa::run(state, which); });
  }
  benchmark::RunSpecifiedBenchmarks();
}
