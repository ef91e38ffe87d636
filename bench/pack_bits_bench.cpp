// Packing of 2^28 codes of 1 to 8 bits: blocks of 32, 64 and 128, and the whole
// body of torchao's universal linear layout, both ways. Every iteration also
// copies 256 MiB with memcpy, in turns: `of_memcpy` is the rate of bytes read
// and written against that of the copies. With two threads both are split in
// halves. A case checks its result first.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <mantissa/core/tensor_view.h>
#include <mantissa/core/worker_pool.h>

#include "kernels/pack_bits.h"
#include "kernels/pack_universal.h"

namespace mantissa {
namespace {

using namespace kernels;

constexpr std::int64_t kCodes = std::int64_t{1} << 28;
constexpr std::int64_t kColumns = 4096;
constexpr std::int64_t kRows = kCodes / kColumns;
constexpr int kPeriod = 1 << 20;            // random codes repeat after so many
constexpr std::int64_t kChecked = 1 << 16;  // codes compared with the reference

struct Buffers {
  HostTensor codes{DType::Int8, {kCodes}};
  HostTensor packed{DType::Int8, {2 * kCodes}};
  HostTensor back{DType::Int8, {kCodes}};
  HostTensor scale{DType::Float32, {kCodes / 32}};
  HostTensor scale_back{DType::Float32, {kCodes / 32}};
  HostTensor zero_point{DType::Int8, {kCodes / 32}};
  HostTensor zero_point_back{DType::Int8, {kCodes / 32}};
  int bits = 0;  // of the codes

  void fill(int width) {
    if (bits == width) return;
    bits = width;
    std::mt19937 random(5);
    auto* to = codes.as<std::int8_t>();
    const int offset = 1 << (width - 1);
    for (int i = 0; i < kPeriod; ++i) {
      to[i] = static_cast<std::int8_t>(
          static_cast<int>(random() & ((1U << width) - 1)) - offset);
    }
    for (std::int64_t i = kPeriod; i < kCodes; i += kPeriod) {
      std::memcpy(to + i, to, kPeriod);
    }
  }
};

Buffers& buffers() {
  static Buffers all;
  return all;
}

using Clock = std::chrono::steady_clock;

double seconds(const std::function<void()>& work) {
  const auto start = Clock::now();
  work();
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// f(part) for each of `threads` parts.
void in_parts(int threads, const std::function<void(std::int64_t part)>& f) {
  WorkerPool(threads).run(threads, [&](std::int64_t part, int) { f(part); });
}

void copy_all(int threads) {
  const std::int64_t size = kCodes / threads;
  in_parts(threads, [&](std::int64_t part) {
    std::memcpy(buffers().back.data() + part * size,
                buffers().codes.data() + part * size,
                static_cast<std::size_t>(size));
    benchmark::DoNotOptimize(buffers().back.data());
  });
}

/// One way of packing, with its inverse.
struct Packing {
  std::string name;
  int bits;
  std::int64_t bytes;  // read and written by either direction
  std::function<bool(std::int64_t part, int parts)> pack;
  std::function<bool(std::int64_t part, int parts)> unpack;
  std::function<bool()> equals_reference;
};

// Once for the cases of one packing, which follow each other.
bool check(const Packing& packing) {
  static std::string checked;
  static bool right = false;
  if (checked == packing.name) return right;
  checked = packing.name;
  Buffers& all = buffers();
  all.fill(packing.bits);
  std::memset(all.packed.data(), 0x5a, static_cast<std::size_t>(2 * kCodes));
  std::memset(all.back.data(), 0, static_cast<std::size_t>(kCodes));
  right = packing.pack(0, 1) && packing.equals_reference() &&
          packing.unpack(0, 1) &&
          std::memcmp(all.codes.data(),
                      all.back.data(),
                      static_cast<std::size_t>(kCodes)) == 0;
  return right;
}

void time_case(benchmark::State& state,
               const Packing& packing,
               bool packs,
               int threads) {
  if (!check(packing)) {
    state.SkipWithError("the result is wrong");
    return;
  }
  const auto& run = packs ? packing.pack : packing.unpack;
  copy_all(threads);
  double copies = 0.0;
  double runs = 0.0;
  for (auto _ : state) {
    copies += seconds([&] { copy_all(threads); });
    const double time = seconds([&] {
      in_parts(threads, [&](std::int64_t part) { run(part, threads); });
    });
    runs += time;
    state.SetIterationTime(time);
  }
  const auto turns = static_cast<double>(state.iterations());
  const double rate = static_cast<double>(packing.bytes) * turns / runs;
  const double copied = 2.0 * kCodes * turns / copies;
  state.counters["GB/s"] = rate / 1e9;
  state.counters["memcpy"] = copied / 1e9;
  state.counters["of_memcpy"] = rate / copied;
}

template <class Statistic>
double over(const std::vector<double>& values, const Statistic& statistic) {
  return *statistic(values.begin(), values.end());
}

void add(const Packing& packing) {
  for (const bool packs : {true, false}) {
    for (const int threads : {1, 2}) {
      const std::string name = std::string(packs ? "pack_" : "unpack_") +
                               packing.name + "/t" + std::to_string(threads);
      benchmark::RegisterBenchmark(name.c_str(),
                                   [=](benchmark::State& state) {
                                     time_case(state, packing, packs, threads);
                                   })
          ->Unit(benchmark::kMillisecond)
          ->UseManualTime()
          ->Iterations(3)
          ->Repetitions(5)
          ->ReportAggregatesOnly()
          ->ComputeStatistics("min",
                              [](const std::vector<double>& v) {
                                return over(v, [](auto a, auto b) {
                                  return std::min_element(a, b);
                                });
                              })
          ->ComputeStatistics("max", [](const std::vector<double>& v) {
            return over(v,
                        [](auto a, auto b) { return std::max_element(a, b); });
          });
    }
  }
}

void add_blocks(int bits, int block) {
  const PackBitsProblem problem{bits, block};
  const auto blocks_of = [=](int parts) { return kCodes / block / parts; };
  const auto from = [=](std::int64_t part, int parts) {
    return part * blocks_of(parts) * block;
  };
  const auto pack = [=](std::int64_t part, int parts) {
    const std::int64_t at = from(part, parts);
    return select_pack_bits(problem).run(
        problem,
        {buffers().codes.as<std::int8_t>() + at,
         blocks_of(parts),
         buffers().packed.as<std::uint8_t>() + at * bits / 8,
         Stores::Streaming});
  };
  const auto unpack = [=](std::int64_t part, int parts) {
    const std::int64_t at = from(part, parts);
    select_unpack_bits(problem).run(
        problem,
        {buffers().packed.as<std::uint8_t>() + at * bits / 8,
         blocks_of(parts),
         buffers().back.as<std::int8_t>() + at,
         Stores::Streaming});
    return true;
  };
  const auto equals = [=] {
    std::vector<std::uint8_t> want(
        static_cast<std::size_t>(kChecked * bits / 8));
    run_pack_bits_ref(
        problem,
        {buffers().codes.as<std::int8_t>(), kChecked / block, want.data()});
    return std::memcmp(want.data(), buffers().packed.data(), want.size()) == 0;
  };
  add({"bits/b" + std::to_string(bits) + "_n" + std::to_string(block),
       bits,
       kCodes + kCodes * bits / 8,
       pack,
       unpack,
       equals});
}

// A weight [65536, 4096]; zero points with groups of 32.
void add_universal(int bits, std::int64_t group) {
  const PackUniversalProblem problem{bits, false};
  const bool zeros = group == 32;
  const std::int64_t groups = kColumns / group;
  const std::int64_t strip =
      kStripRows * (kColumns * bits / 8 + groups * (zeros ? 12 : 8));
  const auto args = [=](std::int64_t part, int parts) {
    const std::int64_t strips = kRows / kStripRows / parts;
    const std::int64_t at = part * strips;
    Buffers& all = buffers();
    PackUniversalArgs out;
    out.codes = all.codes.as<std::int8_t>() + at * kStripRows * kColumns;
    out.scale = all.scale.as<float>() + at * kStripRows * groups;
    if (zeros) {
      out.zero_point =
          all.zero_point.as<std::int8_t>() + at * kStripRows * groups;
    }
    out.strips = strips;
    out.k = kColumns;
    out.group = group;
    out.packed = all.packed.as<std::uint8_t>() + at * strip;
    out.stores = Stores::Streaming;
    return out;
  };
  const auto unpack = [=](std::int64_t part, int parts) {
    const PackUniversalArgs in = args(part, parts);
    Buffers& all = buffers();
    UnpackUniversalArgs out{in.packed, in.strips, in.k, in.group};
    out.codes =
        all.back.as<std::int8_t>() + (in.codes - all.codes.as<std::int8_t>());
    out.scale = all.scale_back.as<float>() + (in.scale - all.scale.as<float>());
    if (zeros) {
      out.zero_point = all.zero_point_back.as<std::int8_t>() +
                       (in.zero_point - all.zero_point.as<std::int8_t>());
    }
    out.stores = Stores::Streaming;
    return select_unpack_universal(problem).run(problem, out);
  };
  const auto equals = [=] {
    PackUniversalArgs some = args(0, 1);
    some.strips = 2;
    std::vector<std::uint8_t> want(static_cast<std::size_t>(2 * strip));
    some.packed = want.data();
    run_pack_universal_ref(problem, some);
    return std::memcmp(want.data(), buffers().packed.data(), want.size()) == 0;
  };
  add({"universal/b" + std::to_string(bits) + "_g" + std::to_string(group),
       bits,
       kCodes + kRows * groups * (zeros ? 5 : 4) + kRows / kStripRows * strip,
       [=](std::int64_t part, int parts) {
         return select_pack_universal(problem).run(problem, args(part, parts));
       },
       unpack,
       equals});
}

}  // namespace
}  // namespace mantissa

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  for (int bits = 1; bits <= 8; ++bits) {
    for (const int block : {32, 64, 128}) mantissa::add_blocks(bits, block);
    for (const int group : {32, 128}) mantissa::add_universal(bits, group);
  }
  benchmark::AddCustomContext(
      "level", mantissa::kernels::level_name(mantissa::kernels::host_caps()));
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
