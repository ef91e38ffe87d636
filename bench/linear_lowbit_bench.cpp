// linear_lowbit against what the machine can do: the read bandwidth of weights
// that rotate through more memory than the last-level cache, and the peak rate
// of int8 products. Both are probed before and after each repetition; where the
// probes differ by more than 10 % the repetition is dropped. Threads split the
// columns, as in the torch half.
//   bench_linear_lowbit [--repeats N] [--threads 1,2] [--filter TEXT]
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "machine_probes.h"

#include "core/aligned_bytes.h"
#include "core/huge_page_bytes.h"
#include "kernels/linear_lowbit.h"
#include "kernels/linear_lowbit_bf16.h"
#include "kernels/linear_lowbit_float.h"
#include "kernels/lowbit_activations.h"
#include "kernels/quantize_panels.h"

#include <mantissa/primitives/float_casts.h>

namespace mantissa::kernels {
namespace {

struct Case {
  std::string name;
  int bits;
  std::int64_t group;  // 0: a scale each row
  bool zeros;
  std::int64_t m;
  std::int64_t n;
  std::int64_t k;
  std::int64_t x_group;  // 0: a scale each row; kFloats, kBf16s
  LowbitCode code = LowbitCode::Integer;
};

constexpr std::int64_t kFloats = -1;
constexpr std::int64_t kBf16s = -2;

// Of the instruction that the case is made of.
double peak_rate(const Case& c, Team& team) {
  return c.x_group == kFloats  ? fma_rate(team)
         : c.x_group == kBf16s ? bf16_rate(team)
                               : product_rate(team);
}

std::string activation_word(std::int64_t x_group) {
  return x_group == 0         ? "row"
         : x_group == kFloats ? "f32"
         : x_group == kBf16s  ? "bf16"
                              : std::to_string(x_group);
}

// Weights of one shape, many times, with random bytes.
struct Weights {
  explicit Weights(const Case& c) {
    const std::int64_t group = c.group == 0 ? c.k : c.group;
    const std::int64_t tiles = (c.n + 15) / 16;
    codes = tiles * c.k * c.bits * 2;
    const std::int64_t values = tiles * 16 * (c.k / group);
    scales = values * 2;
    zeros = c.zeros ? values : 0;
    bytes = (codes + scales + zeros + 63) / 64 * 64;
    count = std::max<std::int64_t>(1, kRotation / bytes);
    memory = HugePageBytes(static_cast<std::size_t>(count * bytes + 8192));
    std::mt19937 random(1);
    auto* words = memory.as<std::uint32_t>();
    for (std::int64_t i = 0; i < count * bytes / 4; ++i) words[i] = random();
    for (std::int64_t i = 0; i < count; ++i) {
      auto* s =
          memory.as<std::uint16_t>(static_cast<std::size_t>(i * bytes + codes));
      for (std::int64_t j = 0; j < values; ++j) s[j] = 0x3c00;
    }
    view.bits = c.bits;
    view.n = c.n;
    view.k = c.k;
    view.group = group;
    view.code = c.code;
  }
  LowbitWeightView at(std::int64_t i) const {
    LowbitWeightView out = view;
    out.codes =
        memory.as<std::uint8_t>(static_cast<std::size_t>(i % count * bytes));
    out.scales = out.codes + codes;
    out.zeros =
        zeros == 0
            ? nullptr
            : reinterpret_cast<const std::int8_t*>(out.codes + codes + scales);
    return out;
  }
  std::int64_t codes, scales, zeros, bytes, count;
  HugePageBytes memory;
  LowbitWeightView view;
};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

class Bench {
 public:
  explicit Bench(int repeats) : repeats_(repeats) {}

  void run(const Case& c, Team& team) {
    const Weights weights(c);
    std::vector<float> x(static_cast<std::size_t>(c.m * c.k));
    std::mt19937 random(2);
    std::normal_distribution<float> normal;
    for (float& v : x) v = normal(random);
    std::vector<float> y(static_cast<std::size_t>(c.m * c.n));
    const auto call = c.x_group == kFloats ? floats_call(c, team, weights, x, y)
                      : c.x_group == kBf16s
                          ? bf16s_call(c, team, weights, x, y)
                          : codes_call(c, team, weights, x, y);
    call();
    const double ops = 2.0 * static_cast<double>(c.m * c.n * c.k);
    const int calls = static_cast<int>(std::clamp(4e9 / ops, 1.0, 40.0));
    std::vector<double> times, reads, peaks;
    for (int i = 0;
         i < 4 * repeats_ && static_cast<int>(times.size()) < repeats_;
         ++i) {
      const double read =
          read_rate(team,
                    weights.memory.size() >= static_cast<std::size_t>(kRotation)
                        ? weights.memory
                        : spare());
      const double peak = peak_rate(c, team);
      const auto start = Clock::now();
      for (int j = 0; j < calls; ++j) call();
      const double time = seconds_since(start) / calls;
      const double read2 =
          read_rate(team,
                    weights.memory.size() >= static_cast<std::size_t>(kRotation)
                        ? weights.memory
                        : spare());
      const double peak2 = peak_rate(c, team);
      if (std::fabs(read / read2 - 1) > 0.1 ||
          std::fabs(peak / peak2 - 1) > 0.1) {
        continue;
      }
      times.push_back(time);
      reads.push_back((read + read2) / 2);
      peaks.push_back((peak + peak2) / 2);
    }
    if (times.empty()) {
      fmt::print("{:34} {}T  no quiet repetition\n", c.name, team.size());
      return;
    }
    const double time = median(times);
    const double bytes =
        static_cast<double>(weights.codes + weights.scales + weights.zeros);
    fmt::print(
        "{:34} {}T {:9.1f} us {:6.1f} GB/s = {:4.2f} of {:5.1f}   {:7.1f} "
        "GOP/s "
        "= {:4.2f} of {:6.1f}\n",
        c.name,
        team.size(),
        time * 1e6,
        bytes / time * 1e-9,
        bytes / time / median(reads),
        median(reads) * 1e-9,
        ops / time * 1e-9,
        ops / time / median(peaks),
        median(peaks) * 1e-9);
    std::fflush(stdout);
  }

 private:
  // run(args of a call, tiles) on every thread.
  template <class Args, class Kernel>
  void on_tiles(Team& team, const Args& args, const Kernel& kernel) {
    while (static_cast<int>(workspaces_.size()) < team.size()) {
      workspaces_.emplace_back(static_cast<std::size_t>(kLowbitWorkspace));
    }
    const std::int64_t tiles = (args.w.n + 15) / 16;
    const std::int64_t pairs = (tiles + 1) / 2;
    team.run([&](int t) {
      const std::int64_t begin = pairs * t / team.size() * 2;
      const std::int64_t end =
          std::min(tiles, pairs * (t + 1) / team.size() * 2);
      kernel.run(args,
                 {begin, end, workspaces_[static_cast<std::size_t>(t)].data()});
    });
  }

  std::function<void()> codes_call(const Case& c,
                                   Team& team,
                                   const Weights& weights,
                                   const std::vector<float>& x,
                                   std::vector<float>& y) {
    codes_.resize(c.m, c.k, c.x_group, false);
    if (c.x_group == 0) {
      const std::vector<std::int8_t> codes(x.size(), 3);
      const std::vector<float> scales(static_cast<std::size_t>(c.m), 0.1f);
      codes_.take_rows(
          codes.data(), scales.data(), nullptr, 0, codes_.panels());
    }
    return [&, turn = std::int64_t{0}]() mutable {
      LinearLowbitArgs args;
      args.w = weights.at(turn++);
      if (c.x_group != 0) {
        const auto& quantize = select_quantize_panels({c.m, c.k, 32});
        quantize.run(codes_.fill_from(x.data(), c.k), 0, codes_.panels());
      }
      args.x = codes_.view();
      args.y = y.data();
      args.y_stride = c.n;
      const std::int64_t segment = lowbit_segment(c.group, c.x_group, c.k);
      on_tiles(
          team, args, select_linear_lowbit({c.bits, c.m, c.n, c.k, segment}));
    };
  }

  std::function<void()> floats_call(const Case& c,
                                    Team& team,
                                    const Weights& weights,
                                    const std::vector<float>& x,
                                    std::vector<float>& y) {
    floats_.resize(c.m, c.k);
    return [&, turn = std::int64_t{0}]() mutable {
      LinearLowbitFloatArgs args;
      args.w = weights.at(turn++);
      floats_.fill(x.data(), c.k, 0, floats_.panels());
      args.x = floats_.view();
      args.y = y.data();
      args.y_stride = c.n;
      on_tiles(team, args, select_linear_lowbit_float({c.bits, c.m, c.n, c.k}));
    };
  }

  std::function<void()> bf16s_call(const Case& c,
                                   Team& team,
                                   const Weights& weights,
                                   const std::vector<float>& x,
                                   std::vector<float>& y) {
    bf16s_.resize(c.m, c.k);
    std::vector<std::uint16_t> narrow;
    for (const float v : x) narrow.push_back(float_to_bfloat16(v));
    return [&, narrow, turn = std::int64_t{0}]() mutable {
      LinearLowbitBf16Args args;
      args.w = weights.at(turn++);
      bf16s_.fill(narrow.data(), c.k, 0, bf16s_.panels());
      args.x = bf16s_.view();
      args.y = y.data();
      args.y_stride = c.n;
      on_tiles(team, args, select_linear_lowbit_bf16({c.bits, c.m, c.n, c.k}));
    };
  }

  const HugePageBytes& spare() {
    if (spare_.size() == 0) {
      spare_ = HugePageBytes(static_cast<std::size_t>(kRotation) + 8192);
      std::memset(spare_.data(), 1, spare_.size());
    }
    return spare_;
  }
  int repeats_;
  HugePageBytes spare_;
  std::vector<AlignedBytes> workspaces_;
  LowbitActivationBuffer codes_;
  LowbitFloatBuffer floats_;
  LowbitBf16Buffer bf16s_;
};

std::vector<Case> cases() {
  std::vector<Case> out;
  const auto add = [&](int bits,
                       std::int64_t group,
                       bool zeros,
                       std::int64_t m,
                       std::int64_t n,
                       std::int64_t k,
                       std::int64_t x_group) {
    out.push_back({fmt::format("{}x{} int{} {} g{}{} x{} M={}",
                               n,
                               k,
                               bits,
                               zeros ? "asym" : "sym",
                               group == 0 ? "row" : std::to_string(group),
                               "",
                               activation_word(x_group),
                               m),
                   bits,
                   group,
                   zeros,
                   m,
                   n,
                   k,
                   x_group});
  };
  for (const std::int64_t n : {4096, 14336}) {
    for (const std::int64_t g : {128, 64, 32}) add(4, g, false, 1, n, 4096, 0);
    add(4, 32, true, 1, n, 4096, 32);
  }
  for (const int bits : {1, 2, 3, 5, 6, 8}) {
    add(bits, 32, false, 1, 4096, 4096, 32);
  }
  for (const std::int64_t m : {2, 3, 4, 6, 16, 128, 512}) {
    add(4, 128, false, m, 4096, 4096, 0);
    add(4, 32, false, m, 4096, 4096, 32);
  }
  add(4, 64, false, 512, 4096, 4096, 0);
  add(4, 32, true, 512, 4096, 4096, 32);
  for (const std::int64_t m : {1, 16, 512}) add(8, 0, false, m, 4096, 4096, 0);
  for (const auto& [n, k] : std::vector<std::pair<std::int64_t, std::int64_t>>{
           {960, 576}, {576, 576}, {3072, 576}, {576, 1536}, {49152, 576}}) {
    for (const std::int64_t m : {1, 512}) add(4, 32, true, m, n, k, 32);
  }
  for (const std::int64_t g : {128, 32}) {
    for (const std::int64_t m : {1, 2, 4, 16, 512}) {
      add(4, g, g == 32, m, 4096, 4096, kFloats);
    }
  }
  for (const int bits : {1, 2, 3, 5, 6, 8}) {
    add(bits, 32, false, 1, 4096, 4096, kFloats);
  }
  for (const std::int64_t m : {1, 16, 512}) {
    add(8, 0, false, m, 4096, 4096, kFloats);
    add(4, 32, true, m, 576, 576, kFloats);
  }
  for (const std::int64_t m : {1, 2, 4, 16, 512}) {
    for (const std::int64_t g : {128, 32}) {
      add(4, g, g == 32, m, 4096, 4096, kBf16s);
    }
    add(8, 0, false, m, 4096, 4096, kBf16s);
    for (const std::int64_t x : {kFloats, kBf16s}) {
      out.push_back(
          {fmt::format("4096x4096 e4m3 grow x{} M={}", activation_word(x), m),
           8,
           0,
           false,
           m,
           4096,
           4096,
           x,
           LowbitCode::E4m3});
    }
  }
  for (const int bits : {1, 2, 3, 5, 6}) {
    add(bits, 32, false, 1, 4096, 4096, kBf16s);
  }
  for (const std::int64_t m : {1, 512}) {
    add(4, 32, true, m, 576, 576, kBf16s);
  }
  return out;
}

}  // namespace
}  // namespace mantissa::kernels

int main(int argc, char** argv) {
  using namespace mantissa::kernels;
  int repeats = 5;
  std::string threads = "1,2";
  std::string filter;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string option = argv[i];
    if (option == "--repeats") repeats = std::atoi(argv[i + 1]);
    if (option == "--threads") threads = argv[i + 1];
    if (option == "--filter") filter = argv[i + 1];
  }
  for (const KernelInfo& row : all_kernels(host_caps())) {
    if (row.op.starts_with("linear_lowbit") && row.refusal.empty()) {
      fmt::print("{}: {} runs here\n", row.op, row.name);
    }
  }
  Bench bench(repeats);
  for (std::size_t at = 0; at < threads.size();) {
    const std::size_t comma = std::min(threads.find(',', at), threads.size());
    Team team(std::atoi(threads.substr(at, comma - at).c_str()));
    for (const Case& c : cases()) {
      if (c.name.find(filter) != std::string::npos) bench.run(c, team);
    }
    at = comma + 1;
  }
}
