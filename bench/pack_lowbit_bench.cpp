// Packing of a weight [65536, 4096] into the runtime layout of low-bit
// products: each kernel, 1 to 8 bits, both ways, with sums of groups of 32 as
// integers have them and without as float8 does. Every iteration also copies
// the 256 MiB of codes with memcpy, in turns: `of_memcpy` is the rate of bytes
// read and written against that of the copies. With two threads both are split
// in halves. A case checks its result first.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include <mantissa/core/tensor_view.h>
#include <mantissa/core/worker_pool.h>

#include "core/huge_page_bytes.h"
#include "kernels/pack_lowbit.h"

namespace mantissa {
namespace {

using namespace kernels;

constexpr std::int64_t kRows = 65536;
constexpr std::int64_t kColumns = 4096;
constexpr std::int64_t kCodes = kRows * kColumns;
constexpr std::int64_t kTiles = kRows / kLowbitTile;
constexpr std::int64_t kPeriod = 1 << 20;  // random codes repeat after so many
constexpr std::int64_t kChecked = 4;       // tiles compared with the reference

// One way of packing.
struct Way {
  int bits = 4;
  bool packs = true;
  bool sums = false;
  int threads = 1;
};

struct Buffers {
  HostTensor codes{DType::Int8, {kCodes}};
  HugePageBytes packed{static_cast<std::size_t>(kCodes)};
  HostTensor back{DType::Int8, {kCodes}};
  std::vector<std::int64_t> sums =
      std::vector<std::int64_t>(2 * kColumns / kLowbitChunk * kLowbitTile);
  int bits = 0;  // of the codes

  void fill(int width) {
    if (bits == width) return;
    bits = width;
    std::mt19937 random(5);
    auto* to = codes.as<std::int8_t>();
    for (std::int64_t i = 0; i < kPeriod; ++i) {
      const auto code = static_cast<int>(random() & ((1U << width) - 1));
      to[i] = static_cast<std::int8_t>(code - (1 << (width - 1)));
    }
    for (std::int64_t i = kPeriod; i < kCodes; i += kPeriod) {
      std::memcpy(to + i, to, static_cast<std::size_t>(kPeriod));
    }
  }
};

Buffers& buffers() {
  static Buffers all;
  return all;
}

PackLowbitArgs pack_args(int bits) {
  PackLowbitArgs args;
  args.bits = bits;
  args.n = kRows;
  args.k = kColumns;
  args.codes = buffers().codes.as<std::int8_t>();
  args.packed = buffers().packed.as<std::uint8_t>();
  return args;
}

// Part `part` of the tiles; sums a tile at a time, as a weight takes them.
void pack(const PackLowbitKernel& kernel, const Way& way, std::int64_t part) {
  PackLowbitArgs args = pack_args(way.bits);
  const std::int64_t begin = part * kTiles / way.threads;
  const std::int64_t end = (part + 1) * kTiles / way.threads;
  if (!way.sums) {
    kernel.run(args, begin, end);
    return;
  }
  args.sums =
      buffers().sums.data() + part * kColumns / kLowbitChunk * kLowbitTile;
  for (std::int64_t tile = begin; tile < end; ++tile) {
    kernel.run(args, tile, tile + 1);
  }
}

void unpack(const UnpackLowbitKernel& kernel,
            const Way& way,
            std::int64_t part) {
  kernel.run({way.bits,
              kRows,
              kColumns,
              buffers().packed.as<std::uint8_t>(),
              buffers().back.as<std::int8_t>()},
             part * kTiles / way.threads,
             (part + 1) * kTiles / way.threads);
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

// What the reference makes of the first tiles.
bool packed_right(int bits) {
  PackLowbitArgs args = pack_args(bits);
  std::vector<std::uint8_t> want(
      static_cast<std::size_t>(kChecked * kLowbitTile * kColumns * bits / 8));
  args.packed = want.data();
  run_pack_lowbit_ref(args, 0, kChecked);
  return std::memcmp(want.data(), buffers().packed.data(), want.size()) == 0;
}

bool unpacked_right() {
  return std::memcmp(buffers().codes.data(),
                     buffers().back.data(),
                     static_cast<std::size_t>(kCodes)) == 0;
}

void time_case(benchmark::State& state,
               const Way& way,
               const std::function<void(std::int64_t part)>& run) {
  buffers().fill(way.bits);
  copy_all(way.threads);
  if (!way.packs) {
    in_parts(1, [&](std::int64_t part) {
      pack(select_pack_lowbit({way.bits}), {way.bits}, part);
    });
    std::memset(buffers().back.data(), 0, static_cast<std::size_t>(kCodes));
  }
  in_parts(way.threads, run);
  if (way.packs ? !packed_right(way.bits) : !unpacked_right()) {
    state.SkipWithError("the result is wrong");
    return;
  }
  double copies = 0.0;
  double runs = 0.0;
  for (auto _ : state) {
    copies += seconds([&] { copy_all(way.threads); });
    const double time = seconds([&] { in_parts(way.threads, run); });
    runs += time;
    state.SetIterationTime(time);
  }
  const auto turns = static_cast<double>(state.iterations());
  const double bytes = static_cast<double>(kCodes + kCodes * way.bits / 8);
  const double rate = bytes * turns / runs;
  const double copied = 2.0 * static_cast<double>(kCodes) * turns / copies;
  state.counters["GB/s"] = rate / 1e9;
  state.counters["memcpy"] = copied / 1e9;
  state.counters["of_memcpy"] = rate / copied;
}

void add(const std::string& kernel,
         const Way& way,
         const std::function<void(std::int64_t part)>& run) {
  const std::string name = kernel + "/b" + std::to_string(way.bits) +
                           (way.sums ? "_sums" : "") + "/t" +
                           std::to_string(way.threads);
  benchmark::RegisterBenchmark(
      name.c_str(),
      [=](benchmark::State& state) { time_case(state, way, run); })
      ->Unit(benchmark::kMillisecond)
      ->UseManualTime()
      ->Iterations(3)
      ->Repetitions(5)
      ->ReportAggregatesOnly();
}

void add_width(int bits) {
  const PackLowbitProblem problem{bits};
  for (const int threads : {1, 2}) {
    for (const auto& kernel : pack_lowbit_kernels()) {
      if (kernel.refuses(problem, host_caps()) != nullptr) continue;
      for (const bool sums : {false, true}) {
        const Way way = {bits, true, sums, threads};
        add(kernel.name, way, [&kernel, way](std::int64_t part) {
          pack(kernel, way, part);
        });
      }
    }
    for (const auto& kernel : unpack_lowbit_kernels()) {
      if (kernel.refuses(problem, host_caps()) != nullptr) continue;
      const Way way = {bits, false, false, threads};
      add(kernel.name, way, [&kernel, way](std::int64_t part) {
        unpack(kernel, way, part);
      });
    }
  }
}

}  // namespace
}  // namespace mantissa

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  for (int bits = 1; bits <= 8; ++bits) mantissa::add_width(bits);
  benchmark::AddCustomContext(
      "level", mantissa::kernels::level_name(mantissa::kernels::host_caps()));
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
