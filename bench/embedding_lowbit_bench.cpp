// Rows of a low-bit weight, one thread: integers in groups of 32, [49152, 576],
// and blocks of GGUF, [49152, 768]. The whole table in order, 512 rows and one
// row at random places. Each kernel stands beside the reference row, which
// looks up code by code, in turns; its result is checked first. `of_ref` is how
// many times as fast it is, `GB/s` what it writes.
#include <benchmark/benchmark.h>
#include <time.h>

#include <algorithm>
#include <functional>
#include <map>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include <mantissa/formats/intx_unpacked_to_int8_tensor.h>
#include <mantissa/primitives/float_casts.h>

#include "formats/gguf_tensor.h"
#include "formats/lowbit_weight.h"
#include "kernels/embedding_lowbit.h"

namespace mantissa {
namespace {

constexpr std::int64_t kRows = 49152;

LowbitWeight packed(const EncodedTensor& encoded) {
  std::vector<ConstTensorView> fields;
  for (const HostTensor& field : encoded.fields) fields.push_back(field.view());
  return {encoded.encoding,
          fields,
          [](std::int64_t count,
             const std::function<void(std::int64_t, std::int64_t)>& run) {
            run(0, count);
          }};
}

LowbitWeight integers(DType width) {
  const Shape shape = {kRows, 576};
  const auto encoding =
      make_intx_encoding(shape,
                         DType::Float32,
                         {.target_dtype = width, .granularity = PerGroup{32}});
  HostTensor values(DType::Float32, shape);
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  for (std::int64_t i = 0; i < values.numel(); ++i) {
    values.as<float>()[i] = normal(random);
  }
  return packed(encode(encoding, values.view()));
}

// Fields as a file's blocks give them: codes and factors of their widths.
LowbitWeight blocks(const char* type) {
  const GgufGrid& grid = *find_gguf_grid(type);
  EncodedTensor encoded{make_gguf_encoding({kRows, 768}, grid), {}};
  const int half = 1 << (grid.bits - 1);
  const int factors = grid.minima ? 64 : 128;
  std::mt19937 random(1);
  for (const FieldLayout& field : encoded.encoding->fields()) {
    HostTensor& values = encoded.fields.emplace_back(field.dtype, field.shape);
    const bool codes = encoded.fields.size() == GgufFields::kQdata + 1;
    for (std::int64_t i = 0; i < values.numel(); ++i) {
      const auto any = static_cast<int>(random() >> 16);
      if (field.dtype == DType::Float16) {
        values.as<std::uint16_t>()[i] =
            float_to_float16(static_cast<float>(any % 100 + 1) * 0x1p-12f);
      } else {
        values.as<std::int8_t>()[i] = static_cast<std::int8_t>(
            codes ? any % (2 * half) - half : any % factors);
      }
    }
  }
  return packed(encoded);
}

// Made when it is first asked for.
const LowbitWeight& weight_of(const std::string& name) {
  static std::map<std::string, LowbitWeight> made;
  const auto found = made.find(name);
  if (found != made.end()) return found->second;
  LowbitWeight weight = name == "int4_g32"   ? integers(DType::Int4)
                        : name == "int5_g32" ? integers(DType::Int5)
                        : name == "int8_g32" ? integers(DType::Int8)
                                             : blocks(name.c_str());
  return made.emplace(name, std::move(weight)).first->second;
}

std::vector<std::int64_t> rows_of(std::int64_t count) {
  std::vector<std::int64_t> rows(static_cast<std::size_t>(count));
  std::iota(rows.begin(), rows.end(), 0);
  std::mt19937 random(2);
  if (count < kRows) {
    for (std::int64_t& row : rows) row = random() % kRows;
  }
  return rows;
}

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

void run(benchmark::State& state,
         const kernels::EmbeddingLowbitKernel& kernel,
         const std::string& name,
         std::int64_t count) {
  const LowbitWeight& weight = weight_of(name);
  const std::int64_t columns = weight.layout().k;
  const auto rows = rows_of(std::max<std::int64_t>(count, 4096));
  // One row at a time goes through many of them.
  const auto all = static_cast<std::int64_t>(rows.size());
  std::vector<float> ours(static_cast<std::size_t>(count * columns));
  std::vector<float> theirs(ours.size());
  kernels::EmbeddingLowbitArgs args;
  args.w = weight.view();
  args.columns = columns;
  std::int64_t first = 0;
  const auto look_up = [&](const kernels::EmbeddingLowbitKernel& row,
                           std::vector<float>& out) {
    first = first + 2 * count <= all ? first + count : 0;
    args.indices = rows.data() + first;
    args.out = out.data();
    row.run(args, 0, count);
  };
  const auto& reference = kernels::embedding_lowbit_kernels().back();
  look_up(kernel, ours);
  first -= first == 0 ? 0 : count;
  args.out = theirs.data();
  reference.run(args, 0, count);
  if (ours != theirs) {
    state.SkipWithError("wrong result");
    return;
  }
  for (auto _ : state) look_up(kernel, ours);
  const int times = static_cast<int>(std::max<std::int64_t>(1, 4096 / count));
  double best = 1e30;
  double base = 1e30;
  for (int i = 0; i < 25; ++i) {
    best = std::min(best, seconds_of([&] { look_up(kernel, ours); }, times));
    if (i % 5 != 0) continue;
    base =
        std::min(base, seconds_of([&] { look_up(reference, theirs); }, times));
  }
  const auto each = static_cast<double>(count);
  state.counters["ns_a_row"] = best / each * 1e9;
  state.counters["GB/s"] = 4 * static_cast<double>(columns) * each / best / 1e9;
  state.counters["of_ref"] = base / best;
}

}  // namespace
}  // namespace mantissa

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  const auto& caps = mantissa::kernels::host_caps();
  const auto kernels = mantissa::kernels::embedding_lowbit_kernels();
  for (const auto& kernel : kernels.first(kernels.size() - 1)) {
    if (kernel.refuses({}, caps) != nullptr) continue;
    for (const std::string weight : {"int4_g32",
                                     "int5_g32",
                                     "int8_g32",
                                     "Q2_K",
                                     "Q3_K",
                                     "Q4_K",
                                     "Q5_K",
                                     "Q6_K"}) {
      for (const std::int64_t count :
           {std::int64_t{1}, std::int64_t{512}, mantissa::kRows}) {
        benchmark::RegisterBenchmark(
            (std::string(kernel.name) + "/" + weight + "/rows" +
             std::to_string(count))
                .c_str(),
            [&kernel, weight, count](benchmark::State& state) {
              mantissa::run(state, kernel, weight, count);
            });
      }
    }
  }
  benchmark::RunSpecifiedBenchmarks();
}
