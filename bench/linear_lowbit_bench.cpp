// linear_lowbit against what the machine can do: the read bandwidth of weights
// that rotate through more memory than the last-level cache, and the peak rate
// of int8 products. Both are probed before and after each repetition; where the
// probes differ by more than 10 % the repetition is dropped. Threads split the
// columns, as in the torch half.
//   bench_linear_lowbit [--repeats N] [--threads 1,2] [--filter TEXT]
#include <immintrin.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "core/aligned_bytes.h"
#include "kernels/caps.h"
#include "kernels/linear_lowbit.h"
#include "kernels/lowbit_activations.h"
#include "kernels/quantize_panels.h"

namespace mantissa::kernels {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::int64_t kRotation = std::int64_t{256} << 20;  // bytes of weights

// Threads that wait for work by spinning, so that starting them costs nothing.
class Team {
 public:
  explicit Team(int threads) : threads_(threads) {
    for (int i = 1; i < threads; ++i) {
      workers_.emplace_back([this, i] { serve(i); });
    }
  }
  ~Team() {
    stop_ = true;
    ++round_;
    for (std::thread& worker : workers_) worker.join();
  }
  int size() const { return threads_; }
  // work(thread) on every thread.
  void run(const std::function<void(int)>& work) {
    work_ = &work;
    left_ = threads_ - 1;
    ++round_;
    work(0);
    while (left_ != 0) {
      _mm_pause();
    }
  }

 private:
  void serve(int thread) {
    int seen = 0;
    for (;;) {
      while (round_ == seen) {
        _mm_pause();
      }
      seen = round_;
      if (stop_) return;
      (*work_)(thread);
      --left_;
    }
  }
  int threads_;
  std::vector<std::thread> workers_;
  std::atomic<int> round_ = 0;
  std::atomic<int> left_ = 0;
  std::atomic<bool> stop_ = false;
  const std::function<void(int)>* work_ = nullptr;
};

constexpr int kChains = 16;  // of vpdpbusd: more than its latency takes

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

std::atomic<long> g_sink = 0;

__attribute__((target("avx2"))) long read_avx2(const std::byte* p,
                                               std::int64_t bytes) {
  __m256i s[4] = {};
  for (std::int64_t i = 0; i < bytes; i += 128) {
    _mm_prefetch(reinterpret_cast<const char*>(p + i + 4096), _MM_HINT_T0);
    _mm_prefetch(reinterpret_cast<const char*>(p + i + 4160), _MM_HINT_T0);
    for (int j = 0; j < 4; ++j) {
      s[j] = _mm256_add_epi64(
          s[j],
          _mm256_load_si256(reinterpret_cast<const __m256i*>(p + i + 32 * j)));
    }
  }
  const __m256i all = _mm256_add_epi64(_mm256_add_epi64(s[0], s[1]),
                                       _mm256_add_epi64(s[2], s[3]));
  return _mm256_extract_epi64(all, 0) + _mm256_extract_epi64(all, 3);
}

// Bytes a second that the team reads.
double read_rate(Team& team, const AlignedBytes& memory) {
  const std::int64_t part = kRotation / team.size() / 128 * 128;
  const auto start = Clock::now();
  team.run([&](int t) { g_sink += read_avx2(memory.data() + t * part, part); });
  return static_cast<double>(part * team.size()) / seconds_since(start);
}

__attribute__((target("avx2"))) long products_avx2(std::int64_t rounds) {
  __m256i sum[8] = {};
  const __m256i a = _mm256_set1_epi8(3);
  __m256i b = _mm256_set1_epi8(5);
  for (std::int64_t i = 0; i < rounds; ++i) {
#pragma GCC unroll 8
    for (int j = 0; j < 8; ++j) {
      __asm__ volatile("" : "+x"(b));  // no product is used twice
      sum[j] = _mm256_add_epi16(sum[j], _mm256_maddubs_epi16(a, b));
      __asm__ volatile("" : "+x"(sum[j]));
    }
  }
  __m256i all = sum[0];
#pragma GCC unroll 8
  for (int j = 1; j < 8; ++j) all = _mm256_add_epi16(all, sum[j]);
  return _mm256_extract_epi64(all, 0);
}

__attribute__((target("avx512f,avx512bw,avx512vnni"))) long products_avx512(
    std::int64_t rounds) {
  __m512i sum[kChains];
  const __m512i a = _mm512_set1_epi8(3);
  const __m512i b = _mm512_set1_epi8(5);
#pragma GCC unroll 16
  for (int j = 0; j < kChains; ++j) sum[j] = _mm512_set1_epi32(j);
  for (std::int64_t i = 0; i < rounds; ++i) {
#pragma GCC unroll 16
    for (int j = 0; j < kChains; ++j) {
      sum[j] = _mm512_dpbusd_epi32(sum[j], a, b);
      // Each chain is its own, in a register.
      __asm__ volatile("" : "+v"(sum[j]));
    }
  }
  __m512i all = sum[0];
#pragma GCC unroll 16
  for (int j = 1; j < kChains; ++j) all = _mm512_add_epi32(all, sum[j]);
  int out[16];
  _mm512_storeu_si512(out, all);
  return out[0] + out[15];
}

// Operations a second (two each product) of the instruction that the preferred
// kernel is made of: vpdpbusd, or vpmaddubsw and a 16-bit addition.
double product_rate(Team& team) {
  constexpr std::int64_t kRounds = 400000;
  const bool wide = host_caps().avx512vnni;
  const auto start = Clock::now();
  team.run([&](int) {
    g_sink += wide ? products_avx512(kRounds) : products_avx2(kRounds);
  });
  const double each = wide ? kChains * 128.0 : 8 * 64.0;
  return each * static_cast<double>(kRounds * team.size()) /
         seconds_since(start);
}

struct Case {
  std::string name;
  int bits;
  std::int64_t group;  // 0: a scale each row
  bool zeros;
  std::int64_t m;
  std::int64_t n;
  std::int64_t k;
  std::int64_t x_group;
};

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
    memory.reserve(static_cast<std::size_t>(count * bytes + 8192));
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
  AlignedBytes memory;
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
    LowbitActivationBuffer buffer;
    buffer.resize(c.m, c.k, c.x_group, false);
    const auto& quantize = select_quantize_panels({c.m, c.k, 32});
    std::vector<std::int8_t> codes(x.size(), 3);
    std::vector<float> scales(static_cast<std::size_t>(c.m), 0.1f);
    const auto& kernel = select_linear_lowbit({c.bits, c.m, c.n, c.k});
    std::vector<AlignedBytes> workspaces;
    for (int t = 0; t < team.size(); ++t) {
      workspaces.emplace_back(static_cast<std::size_t>(kLowbitWorkspace));
    }
    const std::int64_t tiles = (c.n + 15) / 16;
    std::int64_t turn = 0;
    const auto call = [&] {
      LinearLowbitArgs args;
      args.w = weights.at(turn++);
      if (c.x_group != 0) {
        quantize.run(buffer.fill_from(x.data(), c.k), 0, buffer.panels());
      } else if (turn == 1) {
        buffer.take_rows(
            codes.data(), scales.data(), nullptr, 0, buffer.panels());
      }
      args.x = buffer.view();
      args.y = y.data();
      args.y_stride = c.n;
      team.run([&](int t) {
        const std::int64_t pairs = (tiles + 1) / 2;
        const std::int64_t begin = pairs * t / team.size() * 2;
        const std::int64_t end =
            std::min(tiles, pairs * (t + 1) / team.size() * 2);
        kernel.run(
            args, {begin, end, workspaces[static_cast<std::size_t>(t)].data()});
      });
    };
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
      const double peak = product_rate(team);
      const auto start = Clock::now();
      for (int j = 0; j < calls; ++j) call();
      const double time = seconds_since(start) / calls;
      const double read2 =
          read_rate(team,
                    weights.memory.size() >= static_cast<std::size_t>(kRotation)
                        ? weights.memory
                        : spare());
      const double peak2 = product_rate(team);
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
  const AlignedBytes& spare() {
    if (spare_.size() == 0) {
      spare_.reserve(static_cast<std::size_t>(kRotation) + 8192);
      std::memset(spare_.data(), 1, spare_.size());
    }
    return spare_;
  }
  int repeats_;
  AlignedBytes spare_;
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
                               x_group == 0 ? "row" : std::to_string(x_group),
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
    if (row.op == "linear_lowbit" && row.refusal.empty()) {
      fmt::print("linear_lowbit: {} runs here\n", row.name);
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
