// Rows of a low-bit weight [49152, 576] in groups of 32, one thread: the whole
// table in order, 512 rows and one row at random places. Each kernel stands
// beside LowbitWeight::decode_row, which looks up code by code, in turns; its
// result is checked first. `of_decode_row` is how many times as fast it is.
#include <benchmark/benchmark.h>
#include <time.h>

#include <algorithm>
#include <functional>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include <mantissa/formats/intx_unpacked_to_int8_tensor.h>

#include "formats/lowbit_weight.h"
#include "kernels/embedding_lowbit.h"

namespace mantissa {
namespace {

constexpr std::int64_t kRows = 49152;
constexpr std::int64_t kColumns = 576;

LowbitWeight make_weight(DType width) {
  const Shape shape = {kRows, kColumns};
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
  const EncodedTensor encoded = encode(encoding, values.view());
  std::vector<ConstTensorView> fields;
  for (const HostTensor& field : encoded.fields) fields.push_back(field.view());
  return {encoded.encoding,
          fields,
          [](std::int64_t count,
             const std::function<void(std::int64_t, std::int64_t)>& run) {
            run(0, count);
          }};
}

const LowbitWeight& weight_of(DType width) {
  static const LowbitWeight four = make_weight(DType::Int4);
  static const LowbitWeight five = make_weight(DType::Int5);
  static const LowbitWeight eight = make_weight(DType::Int8);
  return width == DType::Int4 ? four : width == DType::Int5 ? five : eight;
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
         DType width,
         std::int64_t count) {
  const LowbitWeight& weight = weight_of(width);
  const auto rows = rows_of(std::max<std::int64_t>(count, 4096));
  // One row at a time goes through many of them.
  const auto all = static_cast<std::int64_t>(rows.size());
  std::vector<float> ours(static_cast<std::size_t>(count * kColumns));
  std::vector<float> theirs(ours.size());
  kernels::EmbeddingLowbitArgs args;
  args.w = weight.view();
  args.columns = kColumns;
  args.out = ours.data();
  std::int64_t first = 0;
  const auto place = [&] {
    first = first + 2 * count <= all ? first + count : 0;
    return rows.data() + first;
  };
  const auto look_up = [&] {
    args.indices = place();
    kernel.run(args, 0, count);
  };
  const auto decode = [&] {
    const std::int64_t* row = place();
    for (std::int64_t i = 0; i < count; ++i) {
      weight.decode_row(row[i], theirs.data() + i * kColumns);
    }
  };
  look_up();
  first -= first == 0 ? 0 : count;
  for (std::int64_t i = 0; i < count; ++i) {
    weight.decode_row(static_cast<const std::int64_t*>(args.indices)[i],
                      theirs.data() + i * kColumns);
  }
  if (ours != theirs) {
    state.SkipWithError("wrong result");
    return;
  }
  for (auto _ : state) look_up();
  const int times = static_cast<int>(std::max<std::int64_t>(1, 4096 / count));
  double best = 1e30;
  double base = 1e30;
  for (int i = 0; i < 25; ++i) {
    best = std::min(best, seconds_of(look_up, times));
    base = std::min(base, seconds_of(decode, times));
  }
  const auto each = static_cast<double>(count);
  state.counters["ns_a_row"] = best / each * 1e9;
  state.counters["decode_row_ns"] = base / each * 1e9;
  state.counters["of_decode_row"] = base / best;
}

}  // namespace
}  // namespace mantissa

int main(int argc, char** argv) {
  using mantissa::DType;
  benchmark::Initialize(&argc, argv);
  const auto& caps = mantissa::kernels::host_caps();
  for (const auto& kernel : mantissa::kernels::embedding_lowbit_kernels()) {
    if (kernel.refuses({}, caps) != nullptr) continue;
    for (const DType width : {DType::Int4, DType::Int5, DType::Int8}) {
      for (const std::int64_t count :
           {std::int64_t{1}, std::int64_t{512}, mantissa::kRows}) {
        benchmark::RegisterBenchmark(
            (std::string(kernel.name) + "/" + std::string(name(width)) +
             "_g32/rows" + std::to_string(count))
                .c_str(),
            [&kernel, width, count](benchmark::State& state) {
              mantissa::run(state, kernel, width, count);
            });
      }
    }
  }
  benchmark::RunSpecifiedBenchmarks();
}
