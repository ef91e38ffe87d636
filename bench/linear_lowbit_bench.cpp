// linear_lowbit against what the machine can do: the read bandwidth of weights
// that rotate through more memory than the last-level cache, and the peak rate
// of int8 products. Both are probed before and after each repetition; where the
// probes differ by more than 10 % the repetition is dropped.
//   bench_linear_lowbit [--repeats N] [--threads 1,2] [--filter TEXT]
//                       [--pages huge|both]
// TEXT is part of a case's name, "int4 sym g32 x32 M=1"; its end before "$".
// both: each repetition runs with weights in small pages too, and the line says
// what the huge ones gain.
//
//   bench_linear_lowbit --serve 1
// answers questions, so that another program can alternate: a line
// "4096x4096 int4 asym g32 x32 M=1 2T 100" (a case, threads, milliseconds)
// gives a line "NANOSECONDS BYTES", of a call and of a weight, or "- REASON".
// The calls take at least so long, and quantize their activations. "q4_K" in
// place of "int4 asym g32" are weights as GGUF's Q4_K: q2_K to q6_K; "e4m3" in
// place of "int4" are float8 weights. A line "probe 2T" gives the machine's own
// rates: bytes read, and operations of int8, a second.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "lowbit_product.h"

namespace mantissa::kernels {
namespace {

// Of the instruction that the case is made of.
double peak_rate(const Case& c, Team& team) {
  return c.x_group == kFloats  ? fma_rate(team)
         : c.x_group == kBf16s ? bf16_rate(team)
                               : product_rate(team);
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// To read, where there are not weights enough.
const HugePageBytes& spare_memory() {
  static const HugePageBytes memory = [] {
    HugePageBytes out(static_cast<std::size_t>(kRotation) + 8192);
    std::memset(out.data(), 1, out.size());
    return out;
  }();
  return memory;
}

// Seconds a call.
double time_calls(Product& product, const Weights& weights, int calls) {
  const auto start = Clock::now();
  for (int i = 0; i < calls; ++i) product.call(weights);
  return seconds_since(start) / calls;
}

class Bench {
 public:
  Bench(int repeats, bool both_pages)
      : repeats_(repeats), both_pages_(both_pages) {}

  void run(const Case& c, Team& team) {
    const Weights weights(c);
    std::unique_ptr<Weights> small;
    if (both_pages_) small = std::make_unique<Weights>(c, Pages::Small);
    Product product(c, team, Tokens::Before);
    product.call(weights);
    const double ops = operations(c);
    const int calls = static_cast<int>(std::clamp(4e9 / ops, 1.0, 40.0));
    Samples found;
    for (int i = 0;
         i < 4 * repeats_ && static_cast<int>(found.times.size()) < repeats_;
         ++i) {
      const double in_small =
          small == nullptr ? 0 : time_calls(product, *small, calls);
      const auto before = probe(c, team, weights);
      const double time = time_calls(product, weights, calls);
      const auto after = probe(c, team, weights);
      if (before.differs(after)) continue;
      found.times.push_back(time);
      found.reads.push_back((before.read + after.read) / 2);
      found.peaks.push_back((before.peak + after.peak) / 2);
      found.gains.push_back(in_small / time);
    }
    print(c, team.size(), weights.bytes(), found);
  }

 private:
  struct Probe {
    double read;
    double peak;
    bool differs(const Probe& other) const {
      return std::fabs(read / other.read - 1) > 0.1 ||
             std::fabs(peak / other.peak - 1) > 0.1;
    }
  };
  struct Samples {
    std::vector<double> times, reads, peaks;
    std::vector<double> gains;  // of huge pages
  };

  static double operations(const Case& c) {
    return 2.0 * static_cast<double>(c.m * c.n * c.k);
  }

  static Probe probe(const Case& c, Team& team, const Weights& weights) {
    const bool enough =
        weights.memory.size() >= static_cast<std::size_t>(kRotation);
    return {read_rate(team, enough ? weights.memory : spare_memory()),
            peak_rate(c, team)};
  }

  void print(const Case& c,
             int threads,
             std::int64_t bytes,
             const Samples& found) const {
    if (found.times.empty()) {
      fmt::print("{:34} {}T  no quiet repetition\n", c.name(), threads);
      return;
    }
    const double time = median(found.times);
    const double rate = static_cast<double>(bytes) / time;
    const double ops = operations(c);
    fmt::print(
        "{:34} {}T {:9.1f} us {:6.1f} GB/s = {:4.2f} of {:5.1f}   {:7.1f} "
        "GOP/s "
        "= {:4.2f} of {:6.1f}",
        c.name(),
        threads,
        time * 1e6,
        rate * 1e-9,
        rate / median(found.reads),
        median(found.reads) * 1e-9,
        ops / time * 1e-9,
        ops / time / median(found.peaks),
        median(found.peaks) * 1e-9);
    if (both_pages_) fmt::print("   huge pages {:4.2f}x", median(found.gains));
    fmt::print("\n");
    std::fflush(stdout);
  }

  int repeats_;
  bool both_pages_;
};

void add_blocks(std::vector<Case>& out) {
  for (const std::int64_t x : {std::int64_t{32}, kFloats}) {
    for (const Blocks& blocks : kBlocks) {
      for (const std::int64_t m : {1, 16, 512}) {
        out.push_back(case_of_blocks(blocks, m, 4096, 4096, x));
      }
    }
  }
}

std::vector<Case> cases() {
  std::vector<Case> out;
  const auto add = [&](int bits,
                       std::int64_t group,
                       bool zeros,
                       std::int64_t m,
                       std::int64_t n,
                       std::int64_t k,
                       std::int64_t x_group) {
    out.push_back({bits, group, zeros, m, n, k, x_group});
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
  for (const std::int64_t m : {1, 2, 4, 5, 8, 16, 128, 512}) {
    for (const std::int64_t g : {128, 32}) {
      add(4, g, g == 32, m, 4096, 4096, kBf16s);
    }
    add(8, 0, false, m, 4096, 4096, kBf16s);
    for (const std::int64_t x : {kFloats, kBf16s}) {
      out.push_back({8, 0, false, m, 4096, 4096, x, LowbitCode::E4m3});
    }
  }
  for (const int bits : {1, 2, 3, 5, 6}) {
    add(bits, 32, false, 1, 4096, 4096, kBf16s);
  }
  for (const std::int64_t m : {1, 512}) add(4, 32, true, m, 576, 576, kBf16s);
  add_blocks(out);
  return out;
}

// "row", "f32" and "bf16" are what Case says with numbers.
std::int64_t group_of(const std::string& word) {
  if (word == "row") return 0;
  if (word == "bf16") return kBf16s;
  return word == "f32" ? kFloats : std::atoll(word.c_str());
}

struct Question {
  Case which;
  int threads = 1;
  int milliseconds = 0;
};

// "4096x4096 int4 asym g32 x32 M=1 2T 100".
bool parse_linear(const std::string& line, Question& out) {
  long long n = 0, k = 0, m = 0;
  char code[8] = {}, kind[8] = {}, group[8] = {}, x_group[8] = {};
  Case& c = out.which;
  if (std::sscanf(line.c_str(),
                  "%lldx%lld %7s %7s g%7s x%7s M=%lld %dT %d",
                  &n,
                  &k,
                  code,
                  kind,
                  group,
                  x_group,
                  &m,
                  &out.threads,
                  &out.milliseconds) != 9) {
    return false;
  }
  if (std::strcmp(code, "e4m3") == 0) {
    c.bits = 8;
    c.code = LowbitCode::E4m3;
  } else if (std::sscanf(code, "int%d", &c.bits) != 1) {
    return false;
  }
  c.n = n;
  c.k = k;
  c.m = m;
  c.zeros = std::string(kind) == "asym";
  c.group = group_of(group);
  c.x_group = group_of(x_group);
  return true;
}

// "4096x4096 q4_K x32 M=1 2T 100".
bool parse_blocks(const std::string& line, Question& out) {
  long long n = 0, k = 0, m = 0;
  char kind[8] = {}, x_group[8] = {};
  if (std::sscanf(line.c_str(),
                  "%lldx%lld %7s x%7s M=%lld %dT %d",
                  &n,
                  &k,
                  kind,
                  x_group,
                  &m,
                  &out.threads,
                  &out.milliseconds) != 7) {
    return false;
  }
  for (const Blocks& blocks : kBlocks) {
    if (std::strcmp(blocks.name, kind) != 0) continue;
    out.which = case_of_blocks(blocks, m, n, k, group_of(x_group));
    return true;
  }
  return false;
}

// "" or why there are no such products.
std::string refusal(const Case& c) {
  if (c.blocks == nullptr) return {};
  if (c.k % kSuperBlock != 0) {
    return fmt::format(
        "{} takes blocks of {}, K is {}", c.blocks->name, kSuperBlock, c.k);
  }
  return c.group < kLowbitChunk && c.x_group == kBf16s
             ? "groups of 16 multiply with float32"
             : std::string();
}

// Threads live for one answer: they spin, which would slow down the others.
double answer(const Question& question, const Weights& weights) {
  Team team(question.threads);
  Product product(question.which, team, Tokens::InTheCall);
  product.call(weights);
  std::int64_t calls = 0;
  const auto start = Clock::now();
  do {
    product.call(weights);
    ++calls;
  } while (seconds_since(start) * 1e3 < question.milliseconds);
  return seconds_since(start) / static_cast<double>(calls);
}

// "probe 2T".
bool answer_probe(const std::string& line) {
  int threads = 0;
  if (std::sscanf(line.c_str(), "probe %dT", &threads) != 1) return false;
  Team team(threads);
  const double read = read_rate(team, spare_memory());
  fmt::print("{:.0f} {:.0f}\n", read, product_rate(team));
  std::fflush(stdout);
  return true;
}

int serve() {
  std::unique_ptr<Weights> weights;
  Case made;
  for (std::string line; std::getline(std::cin, line);) {
    if (answer_probe(line)) continue;
    Question question;
    if (!parse_linear(line, question) && !parse_blocks(line, question)) {
      fmt::print(stderr, "bench_linear_lowbit: not a case: {}\n", line);
      return 2;
    }
    const std::string refused = refusal(question.which);
    if (!refused.empty()) {
      fmt::print("- {}\n", refused);
      std::fflush(stdout);
      continue;
    }
    if (weights == nullptr || !made.same_weights(question.which)) {
      weights.reset();
      weights = std::make_unique<Weights>(question.which);
      made = question.which;
    }
    fmt::print(
        "{:.0f} {}\n", answer(question, *weights) * 1e9, weights->bytes());
    std::fflush(stdout);
  }
  return 0;
}

bool matches(const std::string& name, const std::string& filter) {
  if (!filter.ends_with('$')) return name.find(filter) != std::string::npos;
  return name.ends_with(filter.substr(0, filter.size() - 1));
}

}  // namespace
}  // namespace mantissa::kernels

int main(int argc, char** argv) {
  using namespace mantissa::kernels;
  int repeats = 5;
  std::string threads = "1,2";
  std::string filter;
  bool both_pages = false;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string option = argv[i];
    if (option == "--serve") return serve();
    if (option == "--repeats") repeats = std::atoi(argv[i + 1]);
    if (option == "--threads") threads = argv[i + 1];
    if (option == "--filter") filter = argv[i + 1];
    if (option == "--pages") both_pages = argv[i + 1] == std::string("both");
  }
  for (const KernelInfo& row : all_kernels(host_caps())) {
    if (row.op.starts_with("linear_lowbit") && row.refusal.empty()) {
      fmt::print("{}: {} runs here\n", row.op, row.name);
    }
  }
  Bench bench(repeats, both_pages);
  for (std::size_t at = 0; at < threads.size();) {
    const std::size_t comma = std::min(threads.find(',', at), threads.size());
    Team team(std::atoi(threads.substr(at, comma - at).c_str()));
    for (const Case& c : cases()) {
      if (matches(c.name(), filter)) bench.run(c, team);
    }
    at = comma + 1;
  }
}
