// Attention beside ATen's scaled_dot_product_attention in float32 and bfloat16,
// in turns. torch_attention: of uint8 codes, beside those on the decoded values
// and torchao's sequence of operators, which is what torchao runs on a CPU
// without AMX. prompt_attention: causal, of float32 queries with bfloat16 keys
// and values. Each case checks its result first. `x_f32`, `x_bf16` and
// `x_sequence`: the time of each in parts of ours, medians of all rounds.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include <torch/torch.h>

#include "torch/ops/attention_bf16.h"
#include "torch/ops/qscaled_dot_product.h"

namespace mantissa {
namespace {

constexpr int kRounds = 9;
constexpr int kSlow = 3;  // the sequence runs in every third round
constexpr std::int64_t kHeads = 16;

struct Case {
  std::int64_t length = 0;
  std::int64_t head_dim = 0;
  int threads = 1;
};

// Codes of normal values, 40 for the standard deviation, as [B, H, T, K] of
// [B, T, H, K] in memory.
at::Tensor codes_of(const at::Tensor& x) {
  return (x * 40 + 128).round().clamp(0, 255).to(at::kByte).transpose(1, 2);
}

struct Inputs {
  explicit Inputs(const Case& c) {
    torch::manual_seed(1);
    const auto draw = [&] {
      return codes_of(torch::randn({1, c.length, kHeads, c.head_dim}));
    };
    q = draw();
    k = draw();
    v = draw();
    options.q_scale = options.k_scale = options.v_scale = 0.025;
    options.q_zp = options.k_zp = options.v_zp = 128;
    // The largest of the probabilities have the last codes.
    options.a_scale = 1.0 / (8.0 * static_cast<double>(c.length));
    options.o_scale = 4.0 / 255 / std::sqrt(static_cast<double>(c.length) / 16);
    options.o_zp = 128;
  }
  at::Tensor values(const at::Tensor& codes, c10::ScalarType dtype) const {
    return ((codes.to(at::kFloat) - 128) * 0.025).to(dtype);
  }
  at::Tensor q, k, v;
  QScaledDotProductOptions options;
};

// Roundings of a tie: few codes, by few.
bool is_sound(const at::Tensor& ours, const at::Tensor& theirs) {
  const at::Tensor off =
      (ours.to(at::kInt) - theirs.to(at::kInt)).abs().to(at::kFloat);
  return off.max().item<float>() <= 1 && off.mean().item<float>() < 0.01F;
}

double seconds_of(const std::function<void()>& call) {
  using Clock = std::chrono::steady_clock;
  const auto begin = Clock::now();
  call();
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

double median(std::vector<double> all) {
  std::ranges::sort(all);
  return all[all.size() / 2];
}

using Calls = std::vector<std::function<void()>>;

// Ours, float32, bfloat16, and what takes longer, in turns.
void alternate(benchmark::State& state, const Calls& calls, double products) {
  std::vector<std::vector<double>> times(calls.size());
  for (auto _ : state) {
    for (int round = 0; round < kRounds; ++round) {
      for (std::size_t i = 0; i < calls.size(); ++i) {
        if (i > 2 && round % kSlow != 0) continue;
        times[i].push_back(seconds_of(calls[i]));
      }
    }
  }
  const double ours = median(times[0]);
  state.counters["ours_ms"] = ours * 1e3;
  state.counters["min_ms"] = *std::ranges::min_element(times[0]) * 1e3;
  state.counters["max_ms"] = *std::ranges::max_element(times[0]) * 1e3;
  state.counters["GMAC/s"] = products / ours * 1e-9;
  state.counters["x_f32"] = median(times[1]) / ours;
  state.counters["x_bf16"] = median(times[2]) / ours;
  if (calls.size() > 3) state.counters["x_sequence"] = median(times[3]) / ours;
}

void run_codes(benchmark::State& state, const Case& c) {
  const torch::NoGradGuard no_grad;
  at::set_num_threads(c.threads);
  const Inputs in(c);
  const auto floats = [&](c10::ScalarType dtype) {
    return [q = in.values(in.q, dtype),
            k = in.values(in.k, dtype),
            v = in.values(in.v, dtype)] {
      benchmark::DoNotOptimize(at::scaled_dot_product_attention(q, k, v));
    };
  };
  const auto ours = [&] {
    return qscaled_dot_product(in.q, in.k, in.v, in.options);
  };
  const auto sequence = [&] {
    return qscaled_dot_product_by_aten(in.q, in.k, in.v, in.options);
  };
  if (!is_sound(ours(), sequence())) {
    state.SkipWithError("wrong result");
    return;
  }
  alternate(
      state,
      {[&] { benchmark::DoNotOptimize(ours()); },
       floats(at::kFloat),
       floats(at::kBFloat16),
       [&] { benchmark::DoNotOptimize(sequence()); }},
      2.0 * static_cast<double>(kHeads * c.length * c.length * c.head_dim));
}

void run_prompt(benchmark::State& state, const Case& c) {
  const torch::NoGradGuard no_grad;
  at::set_num_threads(c.threads);
  torch::manual_seed(1);
  const auto draw = [&] {
    return torch::randn({1, c.length, kHeads, c.head_dim}).transpose(1, 2);
  };
  const at::Tensor q = draw();
  const at::Tensor k = draw().to(at::kBFloat16);
  const at::Tensor v = draw().to(at::kBFloat16);
  const double scale = 1 / std::sqrt(static_cast<double>(c.head_dim));
  if (!takes_attention_bf16(q, k, v, {0, scale, 0})) {
    state.SkipWithError("needs AVX-512 BF16");
    return;
  }
  const auto ours = [&] { return attention_bf16(q, k, v, {0, scale, 0}); };
  const auto aten = [&](c10::ScalarType dtype) {
    return [a = q.to(dtype), b = k.to(dtype), d = v.to(dtype), scale] {
      return at::scaled_dot_product_attention(a, b, d, {}, 0.0, true, scale);
    };
  };
  const auto wide = aten(at::kFloat);
  const auto narrow = aten(at::kBFloat16);
  if ((ours() - wide()).abs().max().item<float>() > 0.03F) {
    state.SkipWithError("wrong result");
    return;
  }
  alternate(
      state,
      {[&] { benchmark::DoNotOptimize(ours()); },
       [&] { benchmark::DoNotOptimize(wide()); },
       [&] { benchmark::DoNotOptimize(narrow()); }},
      static_cast<double>(kHeads * c.length * (c.length + 1) * c.head_dim));
}

using Run = void (*)(benchmark::State&, const Case&);

void register_cases(const std::string& op, Run run) {
  for (const int threads : {1, 2}) {
    for (const std::int64_t length : {512, 2048}) {
      for (const std::int64_t head_dim : {64, 128}) {
        const std::string name = op + "/b1_h16_t" + std::to_string(length) +
                                 "_k" + std::to_string(head_dim) + "/threads" +
                                 std::to_string(threads);
        benchmark::RegisterBenchmark(name.c_str(),
                                     [=](benchmark::State& state) {
                                       run(state, {length, head_dim, threads});
                                     })
            ->Iterations(1)
            ->Unit(benchmark::kMillisecond);
      }
    }
  }
}

void register_all() {
  register_cases("torch_attention", run_codes);
  register_cases("prompt_attention", run_prompt);
}

}  // namespace
}  // namespace mantissa

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  mantissa::register_all();
  benchmark::RunSpecifiedBenchmarks();
}
