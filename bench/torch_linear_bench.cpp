// The way of one linear through torch's dispatcher, weight [64, 64], M = 1, one
// thread: plain, and quantized in each way. Each case checks its result first.
// `above` is what it takes beyond the plain module of the same run.
//
// And packed weights [2048, 2048] with float32 and bfloat16 activations beside
// torch's product of the decoded weight in the same dtype, one thread, in
// turns: `of_decoded` is the speed of the packed one in parts of the decoded
// one's. And weights whose config names int8 activations, packed beside as
// stored: `of_stored`.
//
// And 8 experts [1024, 1024], int4 in groups of 32, or int8 whose config names
// int8 activations, two for each of T tokens, through _grouped_mm in turns:
// packed, as stored (`of_stored`: int4 decodes at every call, int8 multiplies
// codes expert by expert), and torch's product of values decoded before
// (`of_plain`).
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <torch/torch.h>

#include <mantissa/configs/registry.h>
#include <mantissa/formats/int8_tensor.h>
#include <mantissa/formats/intx_unpacked_to_int8_tensor.h>
#include <mantissa/torch/lowbit.h>
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

// Of one call.
double seconds_of(const std::function<void()>& call) {
  using Clock = std::chrono::steady_clock;
  const auto begin = Clock::now();
  call();
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

using Call = std::function<void()>;

// The best of all in turn; names say what ours stands beside.
void compare(benchmark::State& state,
             const Call& ours,
             const std::vector<std::pair<std::string, Call>>& others) {
  for (auto _ : state) ours();
  double best = 1e30;
  std::vector<double> of_others(others.size(), 1e30);
  for (int repeat = 0; repeat < 15; ++repeat) {
    best = std::min(best, seconds_of(ours));
    for (std::size_t i = 0; i < others.size(); ++i) {
      of_others[i] = std::min(of_others[i], seconds_of(others[i].second));
    }
  }
  state.counters["ours_us"] = best * 1e6;
  for (std::size_t i = 0; i < others.size(); ++i) {
    state.counters[others[i].first + "_us"] = of_others[i] * 1e6;
    state.counters["of_" + others[i].first] = of_others[i] / best;
  }
}

void run_packed(benchmark::State& state,
                const std::string& config,
                c10::ScalarType dtype,
                std::int64_t rows) {
  const torch::NoGradGuard no_grad;
  constexpr std::int64_t kWide = 2048;
  torch::manual_seed(1);
  torch::nn::Linear packed(torch::nn::LinearOptions(kWide, kWide).bias(false));
  quantize_(*packed, parse_config_words(config));
  const at::Tensor decoded = mantissa::dequantize(packed->weight).to(dtype);
  pack_lowbit_(*packed, Int8Compute::Float);
  const at::Tensor x = torch::randn({rows, kWide}).to(dtype);
  const at::Tensor truth = at::linear(x, decoded).to(at::kFloat);
  // Two orders of 2048 sums; in bfloat16 the rounding of values and results.
  const at::Tensor bound = at::linear(x.abs(), decoded.abs()).to(at::kFloat) *
                           (dtype == at::kFloat ? 2 * kWide * 0x1p-24 : 0x1p-7);
  if (!((packed(x).to(at::kFloat) - truth).abs() <= bound).all().item<bool>()) {
    state.SkipWithError("wrong result");
    return;
  }
  compare(state,
          [&] { packed(x); },
          {{"decoded", [&] { at::linear(x, decoded); }}});
}

void run_int8(benchmark::State& state,
              c10::ScalarType dtype,
              std::int64_t rows) {
  const torch::NoGradGuard no_grad;
  constexpr std::int64_t kWide = 2048;
  torch::manual_seed(1);
  torch::nn::Linear packed(torch::nn::LinearOptions(kWide, kWide).bias(false));
  packed->to(dtype);
  quantize_(*packed, parse_config_words("int8_dynamic_activation_int8_weight"));
  const at::Tensor stored = packed->weight;
  pack_lowbit_(*packed, Int8Compute::Float);
  const at::Tensor x = torch::randn({rows, kWide}).to(dtype);
  if (!at::equal(packed(x), at::linear(x, stored))) {
    state.SkipWithError("wrong result");
    return;
  }
  compare(
      state, [&] { packed(x); }, {{"stored", [&] { at::linear(x, stored); }}});
}

// Experts in a module, for pack_lowbit_().
struct Experts : torch::nn::Module {
  explicit Experts(const at::Tensor& values,
                   const std::shared_ptr<const Encoding>& encoding) {
    w = to_quantized_tensor(values, encoding);
    register_parameter("w", w, false);
  }
  at::Tensor w;
};

constexpr std::int64_t kExperts = 8;
constexpr std::int64_t kWideExpert = 1024;

// `off`: what activations of a config may change in a result.
void run_experts(benchmark::State& state,
                 const std::shared_ptr<const Encoding>& encoding,
                 double off,
                 c10::ScalarType dtype,
                 std::int64_t tokens) {
  const torch::NoGradGuard no_grad;
  constexpr std::int64_t kWide = kWideExpert;
  torch::manual_seed(1);
  const auto experts = std::make_shared<Experts>(
      torch::randn({kExperts, kWide, kWide}) * 0.02, encoding);
  const at::Tensor stored = experts->w.transpose(-2, -1);
  const at::Tensor values = mantissa::dequantize(experts->w).to(dtype);
  pack_lowbit_(*experts, Int8Compute::Float);
  const at::Tensor packed = experts->named_parameters()["w"].transpose(-2, -1);
  const at::Tensor x = torch::randn({2 * tokens, kWide}).to(dtype);
  // Two experts for one token, all of them alike for many.
  const at::Tensor offs =
      (torch::arange(1, kExperts + 1) * 2 * tokens / kExperts)
          .ceil()
          .to(at::kInt);
  const auto multiply = [&](const at::Tensor& w) {
    return at::_grouped_mm(x, w, offs);
  };
  const auto plain = [&] {
    std::vector<at::Tensor> parts;
    std::int64_t begin = 0;
    for (std::int64_t e = 0; e < kExperts; ++e) {
      const std::int64_t end = offs[e].item<std::int64_t>();
      if (end > begin) {
        parts.push_back(at::linear(x.slice(0, begin, end), values[e]));
      }
      begin = end;
    }
    return at::cat(parts);
  };
  const double most = (multiply(packed) - plain()).abs().max().item<double>();
  if (!(most < off + (dtype == at::kFloat ? 1e-4 : 0.1))) {
    state.SkipWithError("wrong result");
    return;
  }
  compare(state,
          [&] { multiply(packed); },
          {{"stored", [&] { multiply(stored); }}, {"plain", [&] { plain(); }}});
}

// One case for each dtype of x and each size, which stands between `before` and
// `after` in its name.
void register_sizes(
    const std::string& before,
    const std::vector<std::int64_t>& sizes,
    const std::string& after,
    const std::function<void(benchmark::State&, c10::ScalarType, std::int64_t)>&
        run) {
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    const std::string of = dtype == at::kFloat ? "_f32" : "_bf16";
    for (const std::int64_t size : sizes) {
      const auto slash = before.find('/');
      const std::string name = "torch_linear/" + before.substr(0, slash) + of +
                               before.substr(slash) + std::to_string(size) +
                               after;
      benchmark::RegisterBenchmark(name.c_str(),
                                   [run, dtype, size](benchmark::State& state) {
                                     run(state, dtype, size);
                                   });
    }
  }
}

void register_products() {
  const std::vector<std::int64_t> rows = {1, 4, 16, 128, 512};
  const std::pair<std::string, std::string> configs[] = {
      {"int4_g32",
       "intx_weight_only:weight_dtype=int4,granularity=per_group(32)"},
      {"int8", "int8_weight_only"},
      {"float8", "float8_weight_only"}};
  for (const auto& [name, config] : configs) {
    register_sizes("packed_" + name + "/m",
                   rows,
                   "_n2048_k2048",
                   [config = config](auto& state, auto dtype, auto size) {
                     run_packed(state, config, dtype, size);
                   });
  }
  register_sizes("int8_dynamic/m", rows, "_n2048_k2048", run_int8);
  const Shape shape = {kExperts, kWideExpert, kWideExpert};
  const auto register_experts =
      [](const std::string& name,
         const std::shared_ptr<const Encoding>& encoding,
         double off) {
        register_sizes("experts_" + name + "/e8_t",
                       {1, 16, 256},
                       "_n1024_k1024",
                       [=](auto& state, auto dtype, auto tokens) {
                         run_experts(state, encoding, off, dtype, tokens);
                       });
      };
  register_experts("int4_g32",
                   make_intx_encoding(shape,
                                      DType::Float32,
                                      {.target_dtype = DType::Int4,
                                       .granularity = PerGroup{32}}),
                   0);
  // 1024 products of half a step, up to 4 / 255, and 0.02, of random signs.
  register_experts(
      "int8_dynamic",
      make_int8_encoding(shape,
                         DType::Float32,
                         {.act_quant_kwargs = QuantizeTensorToInt8Kwargs{}}),
      0.05);
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
  mantissa::register_products();
  benchmark::RunSpecifiedBenchmarks();
}
