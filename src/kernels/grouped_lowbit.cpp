#include "kernels/grouped_lowbit.h"

#include <fmt/format.h>

namespace mantissa::kernels {
namespace {

// The row and what it needs, of a problem.
template <class Kernel, class Problem, class Args>
LowbitProduct<Kernel, Args> chosen(const Kernel& kernel,
                                   const Problem& problem,
                                   const Args& args) {
  return {&kernel, args, kernel.workspace_bytes(problem, 1)};
}

}  // namespace

LowbitWeightView ExpertsView::expert(std::int64_t e) const {
  LowbitWeightView out = all;
  out.n = columns();
  const std::int64_t tile = e * out.n / kLowbitTile;
  const std::int64_t value = tile * (all.k / all.group) * kLowbitTile;
  out.codes = lowbit_codes_of(all, tile);
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

LowbitInt8Product lowbit_product(const LinearLowbitArgs& args) {
  const auto problem = linear_lowbit_problem(args.w, args.x.m, args.x.group);
  return chosen(select_linear_lowbit(problem), problem, args);
}

LowbitFloatProduct lowbit_product(const LinearLowbitFloatArgs& args) {
  const auto problem = linear_lowbit_float_problem(args.w, args.x.m);
  return chosen(select_linear_lowbit_float(problem), problem, args);
}

LowbitBf16Product lowbit_product(const LinearLowbitBf16Args& args) {
  const auto problem =
      linear_lowbit_bf16_problem(args.w, args.x.m, args.x.panel);
  return chosen(select_linear_lowbit_bf16(problem), problem, args);
}

}  // namespace mantissa::kernels
