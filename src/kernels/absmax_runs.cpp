#include "kernels/absmax_runs.h"

#include <algorithm>
#include <array>
#include <bit>

#include <mantissa/primitives/float_casts.h>

#include "kernels/common/refusals.h"
#include "kernels/cpu/absmax_runs.h"

namespace mantissa::kernels {
namespace {

using Absmax16 = void (*)(const std::uint16_t*,
                          std::int64_t,
                          std::int64_t,
                          std::uint16_t*);
using Absmax32 = void (*)(const std::uint32_t*,
                          std::int64_t,
                          std::int64_t,
                          std::uint32_t*);

// Magnitudes of IEEE-like formats are ordered as their bits are, with NaN above
// infinity: the vector kernels find the largest bits.
template <class Bits, class Kernel, class ToFloat>
void run_bits(const Kernel& kernel,
              const AbsmaxRunsArgs& args,
              const ToFloat& to_float) {
  constexpr std::int64_t kRuns = 256;
  std::array<Bits, kRuns> bits;
  const Bits* x = reinterpret_cast<const Bits*>(args.x);
  for (std::int64_t r = 0; r < args.runs; r += kRuns) {
    const std::int64_t runs = std::min(kRuns, args.runs - r);
    kernel(x + r * args.run, args.run, runs, bits.data());
    for (std::int64_t i = 0; i < runs; ++i) {
      const float value = to_float(bits[static_cast<std::size_t>(i)]);
      args.out[r + i] =
          value != value ? std::bit_cast<float>(0x7fc00000u) : value;
    }
  }
}

void run_vectors(Absmax16 absmax_16,
                 Absmax32 absmax_32,
                 const AbsmaxRunsProblem& problem,
                 const AbsmaxRunsArgs& args) {
  if (problem.dtype == DType::BFloat16) {
    run_bits<std::uint16_t>(absmax_16, args, bfloat16_to_float);
  } else if (problem.dtype == DType::Float16) {
    run_bits<std::uint16_t>(absmax_16, args, float16_to_float);
  } else {
    run_bits<std::uint32_t>(absmax_32, args, [](std::uint32_t bits) {
      return std::bit_cast<float>(bits);
    });
  }
}

void run_avx2(const AbsmaxRunsProblem& problem, const AbsmaxRunsArgs& args) {
  run_vectors(absmax_16_avx2, absmax_32_avx2, problem, args);
}

void run_avx512(const AbsmaxRunsProblem& problem, const AbsmaxRunsArgs& args) {
  run_vectors(absmax_16_avx512, absmax_32_avx512, problem, args);
}

constexpr AbsmaxRunsKernel kAbsmaxRuns[] = {
    {"absmax_runs_avx512", needs_avx512, run_avx512},
    {"absmax_runs_avx2", needs_avx2, run_avx2},
    {"absmax_runs_ref", accepts_any, run_absmax_runs_ref},
};

}  // namespace

std::span<const AbsmaxRunsKernel> absmax_runs_kernels() { return kAbsmaxRuns; }

void list_absmax_runs(const Caps& caps, std::vector<KernelInfo>& out) {
  list_kernels(
      "absmax_runs", absmax_runs_kernels(), AbsmaxRunsProblem{}, caps, out);
}

void absmax_runs(DType dtype, const AbsmaxRunsArgs& args) {
  const AbsmaxRunsProblem problem{dtype};
  select("absmax_runs", absmax_runs_kernels(), problem, host_caps())
      .run(problem, args);
}

}  // namespace mantissa::kernels
