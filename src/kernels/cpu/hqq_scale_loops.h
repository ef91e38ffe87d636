#pragma once

// Only C headers here: instruction-set files include this.
#include "kernels/cpu/generic_lanes.h"
#include "kernels/hqq_scale_args.h"

namespace mantissa::kernels {
namespace {

static_assert(kHqqLanes == kLanes);

// Least squares of codes c for values x: scale = sum(x c) / sum(c c).
struct HqqSums {
  Floats product = {};
  Floats square = {};

  inline void operator+=(const HqqSums& other) {
    product += other.product;
    square += other.square;
  }
};

// torch's order of summing contiguous float32 values, for the values of each
// lane (primitives/torch_sum.h has it for one array): kWide running sums,
// each the sum of 4 rows, which move up a level after 2^power steps.
template <int kWide, class At>
inline HqqSums hqq_sum(int64_t count, const At& at) {
  constexpr int64_t kRows = 4;
  constexpr int kLevels = 4;
  const int64_t vectors = count / kWide;
  const int64_t steps = vectors / kRows;
  int64_t log2 = 0;
  while ((int64_t{1} << log2) < steps) ++log2;
  const int64_t power = log2 / kLevels > 4 ? log2 / kLevels : 4;
  const int64_t period = int64_t{1} << power;
  HqqSums rows[kRows * kWide];
  for (int64_t r = 0; r < kRows * kWide; ++r) {
    HqqSums level[kLevels];
    int64_t i = 0;
    while (i + period <= steps) {
      for (int64_t j = 0; j < period; ++j, ++i) {
        level[0] += at(i * kRows * kWide + r);
      }
      for (int l = 1; l < kLevels; ++l) {
        level[l] += level[l - 1];
        level[l - 1] = {};
        if ((i & ((period - 1) << (l * power))) != 0) break;
      }
    }
    for (; i < steps; ++i) level[0] += at(i * kRows * kWide + r);
    for (int l = 1; l < kLevels; ++l) level[0] += level[l];
    rows[r] = level[0];
  }
  for (int64_t v = steps * kRows; v < vectors; ++v) {
    for (int i = 0; i < kWide; ++i) rows[i] += at(v * kWide + i);
  }
  for (int64_t row = 1; row < kRows; ++row) {
    for (int i = 0; i < kWide; ++i) rows[i] += rows[row * kWide + i];
  }
  HqqSums total;
  for (int64_t i = vectors * kWide; i < count; ++i) total += at(i);
  for (int i = 0; i < kWide; ++i) total += rows[i];
  return total;
}

// NaN stays.
inline Floats at_least(Floats v, Floats least) { return v < least ? least : v; }

inline Floats hqq_codes(const HqqScaleProblem& problem,
                        Floats x,
                        Floats scale) {
  const Floats low = splat(problem.low);
  const Floats high = splat(problem.high);
  const Floats shift = splat(12582912.0f);  // 1.5 * 2^23: rounds to an integer
  const Floats code = at_least(x / scale, low);
  return ((high < code ? high : code) + shift) - shift;
}

inline bool same(Floats a, Floats b) {
  const Ints equal = a == b;
  int32_t all = -1;
  for (int64_t i = 0; i < kLanes; ++i) all &= equal[i];
  return all == -1;
}

inline void hqq_scale_loop(const HqqScaleProblem& problem,
                           const HqqScalePanel& panel) {
  const Floats eps = splat(0x1p-23f);
  Floats scale = load(panel.scale);
  const auto at = [&](int64_t i) {
    const Floats x = load(panel.x + i * kLanes);
    const Floats code = hqq_codes(problem, x, scale);
    return HqqSums{x * code, code * code};
  };
  for (int i = 0; i < panel.iterations; ++i) {
    const HqqSums sums = panel.group < kLanes
                             ? hqq_sum<1>(panel.group, at)
                             : hqq_sum<kLanes>(panel.group, at);
    const Ints some = sums.square > splat(0.0f);
    const Floats next =
        at_least(some ? sums.product / sums.square : scale, eps);
    // From a scale that stands still no iteration moves.
    if (same(scale, next)) break;
    const Floats off = next < scale ? scale - next : next - scale;
    float change[kLanes];
    store(change, off / at_least(scale, eps));
    for (const float v : change) {
      if (panel.change[i] < v) panel.change[i] = v;
    }
    scale = next;
  }
  store(panel.scale, scale);
}

inline void hqq_codes_loop(const HqqScaleProblem& problem,
                           const HqqCodesArgs& args) {
  typedef int8_t Bytes __attribute__((vector_size(kLanes)));
  for (int64_t g = 0; g < args.groups; ++g) {
    const float* x = args.x + g * args.group;
    int8_t* codes = args.codes + g * args.group;
    const Floats scale = splat(args.scale[g]);
    int64_t i = 0;
    for (; i + kLanes <= args.group; i += kLanes) {
      const Floats code = hqq_codes(problem, load(x + i), scale);
      const Bytes bytes =
          __builtin_convertvector(__builtin_convertvector(code, Ints), Bytes);
      memcpy(codes + i, &bytes, sizeof(bytes));
    }
    for (; i < args.group; ++i) {
      const Floats code = hqq_codes(problem, splat(x[i]), scale);
      codes[i] = (int8_t)code[0];
    }
  }
}

}  // namespace
}  // namespace mantissa::kernels
