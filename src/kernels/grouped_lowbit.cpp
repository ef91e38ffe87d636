#include "kernels/grouped_lowbit.h"

#include <algorithm>

#include <fmt/format.h>

namespace mantissa::kernels {
namespace {

std::int64_t pairs_of(std::int64_t columns) {
  return (columns / kLowbitTile + 1) / 2;
}

// Experts that have rows.
std::int64_t busy_experts(const GroupedLowbitArgs& args) {
  return std::ranges::count_if(
      args.x, [](const LowbitActivations& x) { return x.m > 0; });
}

}  // namespace

LowbitWeightView ExpertsView::expert(std::int64_t e) const {
  LowbitWeightView out = all;
  out.n = columns();
  const std::int64_t tile = e * out.n / kLowbitTile;
  const std::int64_t value = tile * (all.k / all.group) * kLowbitTile;
  out.codes += tile * (all.k / kLowbitChunk) * all.bits * 64;
  const std::int64_t scales =
      all.super == 0 ? value : tile * (all.k / all.super) * kLowbitTile;
  const std::int64_t bytes =
      scales * (all.scale_type == LowbitScale::F32 ? 4 : 2);
  out.scales = static_cast<const std::uint8_t*>(all.scales) + bytes;
  if (all.offsets != nullptr) {
    out.offsets = static_cast<const std::uint8_t*>(all.offsets) + bytes;
  }
  if (all.zeros != nullptr) out.zeros += value;
  if (all.factors != nullptr) out.factors += value;
  if (all.offset_factors != nullptr) out.offset_factors += value;
  if (all.sums != nullptr) out.sums += e * out.n;
  return out;
}

std::string grouped_ends_error(std::span<const std::int64_t> ends,
                               std::int64_t experts,
                               std::int64_t rows) {
  if (std::ssize(ends) != experts) {
    return fmt::format(
        "expected {} offsets, one an expert, got {}", experts, ends.size());
  }
  std::int64_t last = 0;
  for (std::size_t e = 0; e < ends.size(); ++e) {
    if (ends[e] < last || ends[e] > rows) {
      return fmt::format(
          "expected rising offsets up to {}, got {} for expert {}",
          rows,
          ends[e],
          e);
    }
    last = ends[e];
  }
  return {};
}

LinearLowbitProblem grouped_lowbit_problem(const GroupedLowbitArgs& args,
                                           std::int64_t rows) {
  const LowbitWeightView& w = args.w.all;
  std::int64_t x_group = 0;  // of those without rows: 0
  for (const LowbitActivations& x : args.x) {
    x_group = std::max(x_group, x.group);
  }
  return {w.bits,
          rows / std::max<std::int64_t>(1, busy_experts(args)),
          args.w.columns(),
          w.k,
          lowbit_segment(w.group, x_group, w.k),
          w.from_zero,
          w.factors != nullptr};
}

std::int64_t grouped_lowbit_pairs(const GroupedLowbitArgs& args) {
  return busy_experts(args) * pairs_of(args.w.columns());
}

std::int64_t grouped_lowbit_workspace(const LinearLowbitKernel& kernel,
                                      const GroupedLowbitArgs& args,
                                      std::int64_t threads) {
  LinearLowbitProblem problem = grouped_lowbit_problem(args, 0);
  for (const LowbitActivations& x : args.x) {
    problem.m = std::max(problem.m, x.m);
  }
  return kernel.workspace_bytes(problem, threads);
}

void run_grouped_lowbit(const LinearLowbitKernel& kernel,
                        const GroupedLowbitArgs& args,
                        std::int64_t begin,
                        std::int64_t end,
                        void* workspace) {
  const std::int64_t pairs = pairs_of(args.w.columns());
  const std::int64_t tiles = args.w.columns() / kLowbitTile;
  std::int64_t first = 0;  // pair of the expert
  for (std::size_t e = 0; e < args.x.size() && first < end; ++e) {
    if (args.x[e].m == 0) continue;
    const std::int64_t from = std::max<std::int64_t>(begin - first, 0);
    const std::int64_t to = std::min(end - first, pairs);
    first += pairs;
    if (from >= to) continue;
    LinearLowbitArgs one;
    one.w = args.w.expert(static_cast<std::int64_t>(e));
    one.x = args.x[e];
    one.y = args.y + (e == 0 ? 0 : args.ends[e - 1]) * args.y_stride;
    one.y_stride = args.y_stride;
    kernel.run(one, {2 * from, std::min(2 * to, tiles), workspace});
  }
}

}  // namespace mantissa::kernels
