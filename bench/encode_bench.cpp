// Encoders of bfloat16 weights: every row of the kernel tables, and whole
// formats as the pipeline runs them. One thread, timed by its CPU time; each
// case checks its result first. `input` is bytes of weight a second,
// `of_memcpy` that rate against a copy of the weight.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <ctime>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <mantissa/formats/float8_tensor.h>
#include <mantissa/formats/int4_tensor.h>
#include <mantissa/formats/int4_tile_packed_to_4d_tensor.h>
#include <mantissa/formats/int8_tensor.h>
#include <mantissa/formats/intx_unpacked_to_int8_tensor.h>
#include <mantissa/primitives/convert.h>

#include "kernels/absmax_runs.h"
#include "kernels/convert.h"
#include "kernels/group_minmax.h"
#include "kernels/quantize_affine.h"
#include "kernels/quantize_float8.h"
#include "kernels/quantize_int4.h"

namespace mantissa {
namespace {

constexpr std::int64_t kRows = 4096;
constexpr std::int64_t kColumns = 4096;
constexpr std::int64_t kBlock = 64;  // rows at a time: half a megabyte
constexpr std::int64_t kInputBytes = kRows * kColumns * 2;
// Inputs rotate through more memory than the last-level cache has.
constexpr std::size_t kInputs = 4;

const std::vector<HostTensor>& weights() {
  static const std::vector<HostTensor> all = [] {
    std::vector<HostTensor> out;
    std::mt19937 random(7);
    std::normal_distribution<float> normal(0.0f, 0.02f);
    HostTensor wide(DType::Float32, {kRows, kColumns});
    for (std::int64_t i = 0; i < wide.numel(); ++i) {
      wide.as<float>()[i] = normal(random);
    }
    for (std::size_t i = 0; i < kInputs; ++i) {
      out.push_back(converted(wide.view(), DType::BFloat16));
    }
    return out;
  }();
  return all;
}

// Bytes a second of a copy of one input: the baseline of every case.
double memcpy_rate() {
  static const double rate = [] {
    std::vector<double> rates;
    std::vector<std::byte> to(static_cast<std::size_t>(kInputBytes));
    for (int i = 0; i < 7; ++i) {
      const std::clock_t start = std::clock();
      std::memcpy(to.data(), weights()[i % kInputs].data(), to.size());
      benchmark::DoNotOptimize(to.data());
      const double seconds =
          static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
      rates.push_back(static_cast<double>(kInputBytes) / seconds);
    }
    std::sort(rates.begin(), rates.end());
    return rates[rates.size() / 2];
  }();
  return rate;
}

// `work(x)` takes kBlock rows at x and returns the bytes it wrote.
using Work = std::function<std::int64_t(const std::byte* x)>;

void time_blocks(benchmark::State& state, const Work& work) {
  const double copied = memcpy_rate();
  std::size_t input = 0;
  std::int64_t written = 0;
  const std::clock_t start = std::clock();
  for (auto _ : state) {
    const std::byte* x = weights()[input++ % kInputs].data();
    for (std::int64_t row = 0; row < kRows; row += kBlock) {
      written += work(x + row * kColumns * 2);
    }
  }
  const double seconds =
      static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  const double read = static_cast<double>(state.iterations() * kInputBytes);
  state.SetBytesProcessed(state.iterations() * kInputBytes + written);
  state.counters["input"] =
      benchmark::Counter(read, benchmark::Counter::kIsRate);
  state.counters["of_memcpy"] = read / seconds / copied;
}

template <class Statistic>
double over(const std::vector<double>& values, const Statistic& statistic) {
  return *statistic(values.begin(), values.end());
}

// A case is skipped with the reason when `check` finds a difference.
void add_case(const std::string& name,
              const std::function<bool()>& check,
              const Work& work) {
  benchmark::RegisterBenchmark(name.c_str(),
                               [=](benchmark::State& state) {
                                 if (!check()) {
                                   state.SkipWithError("the result is wrong");
                                   return;
                                 }
                                 time_blocks(state, work);
                               })
      ->Unit(benchmark::kMillisecond)
      ->MinTime(0.1)
      ->Repetitions(5)
      ->ReportAggregatesOnly()
      ->ComputeStatistics("min",
                          [](const std::vector<double>& v) {
                            return over(v, [](auto a, auto b) {
                              return std::min_element(a, b);
                            });
                          })
      ->ComputeStatistics("max", [](const std::vector<double>& v) {
        return over(v, [](auto a, auto b) { return std::max_element(a, b); });
      });
}

std::string case_name(const char* kernel, std::int64_t group) {
  std::string name = std::string(kernel) + "/n" + std::to_string(kRows) + "_k" +
                     std::to_string(kColumns);
  if (group != kColumns) name += "_g" + std::to_string(group);
  return name;
}

// Adds every usable row of a table. `call(kernel, x, out)` runs it on kBlock
// rows and fills `out`, which is compared with that of the last row, the
// reference.
template <class Kernel, class Problem, class Call>
void add_table(std::span<const Kernel> table,
               const Problem& problem,
               std::int64_t group,
               std::size_t out_bytes,
               const Call& call) {
  for (const Kernel& kernel : table) {
    if (kernel.refuses(problem, kernels::host_caps()) != nullptr) continue;
    const Kernel& reference = table.back();
    auto out = std::make_shared<std::vector<std::byte>>(out_bytes);
    add_case(
        case_name(kernel.name, group),
        [=] {
          std::vector<std::byte> expected(out_bytes);
          call(reference, weights()[0].data(), expected.data());
          call(kernel, weights()[0].data(), out->data());
          return *out == expected;
        },
        [=](const std::byte* x) {
          call(kernel, x, out->data());
          benchmark::DoNotOptimize(out->data());
          return static_cast<std::int64_t>(out_bytes);
        });
  }
}

void add_float_kernels() {
  using namespace kernels;
  const ConvertProblem convert{DType::BFloat16, DType::Float32};
  add_table(convert_kernels(),
            convert,
            kColumns,
            kBlock * kColumns * 4,
            [=](const auto& kernel, const std::byte* x, std::byte* out) {
              kernel.run(convert, {x, out, kBlock * kColumns});
            });
  const std::int64_t runs = kBlock;
  add_table(
      absmax_runs_kernels(),
      AbsmaxRunsProblem{},
      kColumns,
      runs * sizeof(float),
      [=](const auto& kernel, const std::byte* x, std::byte* out) {
        kernel.run({}, {x, kColumns, runs, reinterpret_cast<float*>(out)});
      });
  const std::vector<float> scale(kBlock, 0.1f / 448.0f);
  add_table(quantize_float8_kernels(),
            QuantizeFloat8Problem{},
            kColumns,
            kBlock * kColumns,
            [=](const auto& kernel, const std::byte* x, std::byte* out) {
              kernel.run({},
                         {x,
                          scale.data(),
                          kColumns,
                          runs,
                          reinterpret_cast<std::uint8_t*>(out)});
            });
}

void add_affine_kernels(std::int64_t group) {
  using namespace kernels;
  const std::int64_t groups = kBlock * kColumns / group;
  add_table(group_minmax_kernels(),
            GroupMinmaxProblem{},
            group,
            static_cast<std::size_t>(2 * groups) * sizeof(float),
            [=](const auto& kernel, const std::byte* x, std::byte* out) {
              auto* min = reinterpret_cast<float*>(out);
              kernel.run(Element::Bf16, {x, groups, group, min, min + groups});
            });
  const std::vector<float> reciprocal(static_cast<std::size_t>(groups), 900.0f);
  add_table(quantize_affine_kernels(),
            QuantizeAffineProblem{},
            group,
            kBlock * kColumns,
            [=](const auto& kernel, const std::byte* x, std::byte* out) {
              kernel.run(QuantizeAffineProblem{},
                         {x,
                          groups,
                          group,
                          reciprocal.data(),
                          nullptr,
                          -128,
                          127,
                          reinterpret_cast<std::uint8_t*>(out)});
            });
}

void add_int4_kernels(std::int64_t group) {
  using namespace kernels;
  const std::int64_t groups = kBlock * kColumns / group;
  const QuantizeInt4Problem problem{.group_size = group};
  add_table(quantize_int4_kernels(),
            problem,
            group,
            static_cast<std::size_t>(kBlock * kColumns + 8 * groups),
            [=](const auto& kernel, const std::byte* x, std::byte* out) {
              auto* scale = reinterpret_cast<float*>(out + kBlock * kColumns);
              kernel.run(problem,
                         {x,
                          groups,
                          reinterpret_cast<std::uint8_t*>(out),
                          scale,
                          scale + groups});
            });
}

// Takes the bytes and counts them: what a file would be given.
class CountingSink final : public FieldSink {
 public:
  void write(std::size_t,
             std::int64_t,
             std::span<const std::byte> bytes) override {
    benchmark::DoNotOptimize(bytes.data());
    count += static_cast<std::int64_t>(bytes.size());
  }
  std::int64_t count = 0;
};

// Decoded again, the first rows must be as near as the format promises.
bool near(const std::shared_ptr<const Encoding>& encoding, double least_db) {
  const ConstTensorView x{
      DType::BFloat16, encoding->shape(), weights()[0].data()};
  const HostTensor want = converted(x, DType::Float32);
  const HostTensor found =
      converted(encode(encoding, x).decode().view(), DType::Float32);
  double signal = 0.0;
  double noise = 0.0;
  for (std::int64_t i = 0; i < want.numel(); ++i) {
    const double difference = want.as<float>()[i] - found.as<float>()[i];
    signal += double{want.as<float>()[i]} * want.as<float>()[i];
    noise += difference * difference;
  }
  return 10.0 * std::log10(signal / noise) > least_db;
}

void add_format(const std::string& name,
                const std::shared_ptr<const Encoding>& encoding,
                double least_db) {
  const std::shared_ptr<const Encoder> encoder = encoding->make_encoder();
  add_case(
      name,
      [=] { return near(encoding, least_db); },
      [=](const std::byte* x) {
        CountingSink sink;
        encoder->encode(RowBlock{0, 0, kBlock},
                        {DType::BFloat16, {kBlock, kColumns}, x},
                        sink);
        return sink.count;
      });
}

void add_formats() {
  // Each case encodes the first block of rows of such a weight, again and
  // again from other memory.
  const Shape shape = {kBlock, kColumns};
  constexpr DType kDType = DType::BFloat16;
  const std::string size = "n4096_k4096";
  add_format(
      "encode_int8_row/" + size, make_int8_encoding(shape, kDType, {}), 35.0);
  add_format("encode_intx_int4_g32/" + size,
             make_intx_encoding(
                 shape,
                 kDType,
                 {.target_dtype = DType::Int4, .granularity = PerGroup{32}}),
             17.0);
  add_format("encode_int4_g64/" + size,
             make_int4_encoding(shape, kDType, {.group_size = 64}),
             17.0);
  add_format("encode_float8_row/" + size,
             make_float8_encoding(shape, kDType, {}),
             27.0);
}

// A solver's formats read the whole weight more than once: an iteration is all
// of it, from the weight to the fields. torchao_hqq.py has the peers.
void add_solver(const std::string& name,
                const std::shared_ptr<const Encoding>& encoding,
                double least_db) {
  const auto run = [=](benchmark::State& state) {
    if (!near(encoding, least_db)) {
      state.SkipWithError("the result is wrong");
      return;
    }
    std::size_t input = 0;
    for (auto _ : state) {
      const std::byte* x = weights()[input++ % kInputs].data();
      const EncodedTensor out =
          encode(encoding, {DType::BFloat16, encoding->shape(), x});
      benchmark::DoNotOptimize(out.fields.data());
    }
    state.SetBytesProcessed(state.iterations() * kInputBytes);
  };
  benchmark::RegisterBenchmark(name.c_str(), run)
      ->Unit(benchmark::kMillisecond);
}

void add_solvers() {
  const Shape shape = {kRows, kColumns};
  add_solver("hqq_scale_only_int4_g32/n4096_k4096",
             make_intx_encoding(
                 shape,
                 DType::BFloat16,
                 {.target_dtype = DType::Int4,
                  .granularity = PerGroup{32},
                  .algorithm = IntxChooseQParamsAlgorithm::HqqScaleOnly}),
             17.0);
  add_solver(
      "hqq_int4_g64/n4096_k4096",
      make_int4_tile_packed_encoding(
          shape,
          DType::BFloat16,
          {.group_size = 64, .algorithm = Int4ChooseQParamsAlgorithm::Hqq}),
      17.0);
}

}  // namespace
}  // namespace mantissa

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  mantissa::add_formats();
  mantissa::add_solvers();
  mantissa::add_float_kernels();
  mantissa::add_affine_kernels(32);
  mantissa::add_affine_kernels(mantissa::kColumns);
  mantissa::add_int4_kernels(64);
  benchmark::AddCustomContext(
      "level", mantissa::kernels::level_name(mantissa::kernels::host_caps()));
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
