// Attention beside ATen's scaled_dot_product_attention in float32 and bfloat16,
// in turns. torch_attention: of uint8 codes, beside those on the decoded values
// and torchao's sequence of operators, which is what torchao runs on a CPU
// without AMX. prompt_attention: causal, of float32 queries with bfloat16 keys
// and values. token_attention: one query of 16 heads over the keys and values
// of 4, of 8 layers in turn, as a decoded token has them; one thread, T
// positions. Each case checks its result first. `x_f32`, `x_bf16` and
// `x_sequence`: the time of each in parts of ours, medians of all rounds.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include <torch/torch.h>

#include "kernels/decode_ops.h"
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

/// A token's queries and the caches of some layers.
struct Token {
  static constexpr std::int64_t kLayers = 8;
  static constexpr std::int64_t kSharing = 4;  // heads to keys and values
  static constexpr std::int64_t kCached = kHeads / kSharing;

  explicit Token(const Case& c) : q(torch::randn({1, kHeads, 1, c.head_dim})) {
    for (std::int64_t i = 0; i < kLayers; ++i) {
      k.push_back(
          torch::randn({1, kCached, c.length, c.head_dim}, at::kBFloat16));
      v.push_back(
          torch::randn({1, kCached, c.length, c.head_dim}, at::kBFloat16));
    }
  }
  at::Tensor q;
  std::vector<at::Tensor> k, v;
};

// [1, heads, 1, head_dim] from the kernels of decode_ops.
at::Tensor attend(const Token& token, std::int64_t layer) {
  using namespace kernels;
  const at::Tensor& k = token.k[static_cast<std::size_t>(layer)];
  const at::Tensor& v = token.v[static_cast<std::size_t>(layer)];
  const std::int64_t length = k.size(2);
  const std::int64_t dim = k.size(3);
  const DecodeOpsKernel& ops = select_decode_ops({dim});
  const std::int64_t blocks = (length + kAttendBlock - 1) / kAttendBlock;
  const std::int64_t size = attend_part(dim);
  std::vector<float> parts(static_cast<std::size_t>(kHeads * blocks * size));
  std::vector<float> scratch(
      static_cast<std::size_t>(attend_scratch(Token::kSharing, dim)));
  at::Tensor out = at::empty_like(token.q);
  AttendOneArgs args;
  args.cache = CacheType::Bf16;
  args.heads = Token::kSharing;
  args.head_dim = dim;
  args.scale = static_cast<float>(1 / std::sqrt(static_cast<double>(dim)));
  args.scratch = scratch.data();
  args.part_stride = blocks * size;
  for (std::int64_t head = 0; head < Token::kCached; ++head) {
    args.q = token.q.const_data_ptr<float>() + head * Token::kSharing * dim;
    for (std::int64_t b = 0; b < blocks; ++b) {
      const std::int64_t at = (head * length + b * kAttendBlock) * dim;
      args.keys = k.const_data_ptr<at::BFloat16>() + at;
      args.values = v.const_data_ptr<at::BFloat16>() + at;
      args.count = std::min(kAttendBlock, length - b * kAttendBlock);
      args.parts = parts.data() + (head * Token::kSharing * blocks + b) * size;
      ops.attend_one(args);
    }
  }
  for (std::int64_t head = 0; head < kHeads; ++head) {
    ops.merge_parts({parts.data() + head * blocks * size,
                     blocks,
                     dim,
                     out.mutable_data_ptr<float>() + head * dim});
  }
  return out;
}

void run_token(benchmark::State& state, const Case& c) {
  const torch::NoGradGuard no_grad;
  at::set_num_threads(1);
  torch::manual_seed(1);
  const Token token(c);
  const auto all = [&](const auto& one) {
    return [&token, one] {
      for (std::int64_t i = 0; i < Token::kLayers; ++i) {
        benchmark::DoNotOptimize(one(i));
      }
    };
  };
  const auto aten = [&](c10::ScalarType dtype) {
    std::vector<at::Tensor> k, v;
    for (const at::Tensor& one : token.k) k.push_back(one.to(dtype));
    for (const at::Tensor& one : token.v) v.push_back(one.to(dtype));
    // Heads that share keys and values are rows of one product: enable_gqa
    // would copy the cache for each.
    const at::Tensor q = token.q.to(dtype).view(
        {1, Token::kCached, Token::kSharing, c.head_dim});
    return [q, k, v](std::int64_t layer) {
      const auto at = static_cast<std::size_t>(layer);
      return at::scaled_dot_product_attention(q, k[at], v[at]);
    };
  };
  const auto ours = [&](std::int64_t layer) { return attend(token, layer); };
  const auto wide = aten(at::kFloat);
  const auto narrow = aten(at::kBFloat16);
  const at::Tensor expected = wide(0).reshape_as(token.q);
  if ((ours(0) - expected).abs().max().item<float>() > 1e-4F) {
    state.SkipWithError("wrong result");
    return;
  }
  alternate(state,
            {all(ours), all(wide), all(narrow)},
            2.0 * static_cast<double>(Token::kLayers * kHeads * c.length *
                                      c.head_dim));
}

using Run = void (*)(benchmark::State&, const Case&);

void register_cases(const std::string& op,
                    Run run,
                    const std::vector<int>& all_threads,
                    const std::vector<std::int64_t>& lengths) {
  for (const int threads : all_threads) {
    for (const std::int64_t length : lengths) {
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
  register_cases("torch_attention", run_codes, {1, 2}, {512, 2048});
  register_cases("prompt_attention", run_prompt, {1, 2}, {512, 2048});
  register_cases("token_attention", run_token, {1}, {64, 512, 2048});
}

}  // namespace
}  // namespace mantissa

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  mantissa::register_all();
  benchmark::RunSpecifiedBenchmarks();
}
