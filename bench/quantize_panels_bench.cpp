// Activations to int8 in groups, one thread: every kernel beside the reference
// and beside the row after it in the table, in turns; its result is checked
// first. `input` is bytes of activations a second, `of_next` how many times as
// fast as the next row it is. Rows of x are those of the product before: in the
// cache where they fit.
#include <benchmark/benchmark.h>
#include <time.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "kernels/lowbit_activations.h"
#include "kernels/quantize_panels.h"

namespace mantissa::kernels {
namespace {

struct Case {
  std::int64_t m;
  std::int64_t k;
  std::int64_t group;
};

// Of this thread: what others of the machine run counts less.
double seconds_now() {
  timespec now = {};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) +
         static_cast<double>(now.tv_nsec) * 1e-9;
}

double seconds_of(const std::function<void()>& call, int times) {
  const double begin = seconds_now();
  for (int i = 0; i < times; ++i) call();
  return (seconds_now() - begin) / times;
}

/// One kernel's codes of x.
class Codes {
 public:
  Codes(const QuantizePanelsKernel& kernel,
        const Case& c,
        const std::vector<float>& x)
      : kernel_(kernel), x_(x), k_(c.k) {
    buffer_.resize(c.m, c.k, c.group, /*zeros=*/false);
  }
  void make() {
    kernel_.run(buffer_.fill_from(x_.data(), k_), 0, buffer_.panels());
  }
  bool operator==(const Codes& other) const {
    const LowbitActivations a = buffer_.view();
    const LowbitActivations b = other.buffer_.view();
    const auto count =
        static_cast<std::size_t>(buffer_.panels() * a.panel * a.k);
    const std::size_t groups = count / static_cast<std::size_t>(a.group);
    return std::memcmp(a.codes, b.codes, count) == 0 &&
           std::memcmp(a.sums, b.sums, count / kLowbitChunk * 4) == 0 &&
           std::memcmp(a.scales, b.scales, groups * sizeof(float)) == 0;
  }

 private:
  const QuantizePanelsKernel& kernel_;
  const std::vector<float>& x_;
  std::int64_t k_;
  LowbitActivationBuffer buffer_;
};

void run(benchmark::State& state,
         std::span<const QuantizePanelsKernel> rows,
         const Case& c) {
  std::vector<float> x(static_cast<std::size_t>(c.m * c.k));
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  for (float& v : x) v = normal(random);
  Codes ours(rows.front(), c, x);
  Codes next(rows.size() > 1 ? rows[1] : rows[0], c, x);
  Codes reference(rows.back(), c, x);
  ours.make();
  next.make();
  reference.make();
  if (!(ours == reference)) {
    state.SkipWithError("wrong result");
    return;
  }
  for (auto _ : state) ours.make();
  const double bytes = static_cast<double>(x.size() * sizeof(float));
  const int times = static_cast<int>(std::max(1.0, 2e6 / bytes));
  double best = 1e30;
  double base = 1e30;
  for (int i = 0; i < 25; ++i) {
    best = std::min(best, seconds_of([&] { ours.make(); }, times));
    base = std::min(base, seconds_of([&] { next.make(); }, times));
  }
  state.counters["input"] = bytes / best;
  state.counters["of_next"] = base / best;
}

}  // namespace
}  // namespace mantissa::kernels

int main(int argc, char** argv) {
  using namespace mantissa::kernels;
  benchmark::Initialize(&argc, argv);
  const auto rows = quantize_panels_kernels();
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (rows[i].refuses({}, host_caps()) != nullptr) continue;
    for (const Case& c : std::vector<Case>{{1, 4096, 32},
                                           {16, 4096, 32},
                                           {512, 4096, 32},
                                           {512, 4096, 64},
                                           {512, 576, 32},
                                           {512, 1536, 32}}) {
      const std::string name =
          std::string(rows[i].name) + "/m" + std::to_string(c.m) + "_k" +
          std::to_string(c.k) + "_g" + std::to_string(c.group);
      benchmark::RegisterBenchmark(name.c_str(),
                                   [rows, i, c](benchmark::State& state) {
                                     run(state, rows.subspan(i), c);
                                   });
    }
  }
  benchmark::RunSpecifiedBenchmarks();
}
