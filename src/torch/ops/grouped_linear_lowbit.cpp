#include "torch/ops/grouped_linear_lowbit.h"

#include <algorithm>
#include <vector>

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>

#include "kernels/grouped_lowbit.h"
#include "torch/ops/checks.h"
#include "torch/ops/linear_lowbit.h"
#include "torch/ops/lowbit_rows.h"

namespace mantissa {
namespace {

using at::Tensor;
using kernels::GroupedLowbitArgs;
using kernels::LowbitActivationBuffer;

constexpr const char* kGroupedLinearLowbit = "grouped_linear_lowbit";
constexpr std::int64_t kGrainProducts = 1 << 16;

void check_arguments(const Tensor& x,
                     const LowbitWeight& weight,
                     std::span<const std::int64_t> ends) {
  const Shape& shape = weight.encoding()->shape();
  TORCH_CHECK_VALUE(shape.size() == 3,
                    kGroupedLinearLowbit,
                    ": weight: expected experts [E, N, K], got ",
                    c10::IntArrayRef(shape));
  check_dtype(
      kGroupedLinearLowbit, "x", x, {at::kFloat, at::kBFloat16, at::kHalf});
  TORCH_CHECK_VALUE(x.is_cpu() && x.dim() == 2,
                    kGroupedLinearLowbit,
                    ": x: expected [T, K] on the CPU, got ",
                    x.sizes(),
                    " on ",
                    x.device());
  check_last_dim(kGroupedLinearLowbit, "x", x, shape[2], "in_features");
  const std::string error =
      kernels::grouped_ends_error(ends, shape[0], x.size(0));
  TORCH_CHECK_VALUE(error.empty(), kGroupedLinearLowbit, ": offsets: ", error);
}

void run_pairs(const GroupedLowbitArgs& args, std::int64_t rows) {
  const kernels::LinearLowbitProblem problem =
      kernels::grouped_lowbit_problem(args, rows);
  const auto& kernel = kernels::select_linear_lowbit(problem);
  const std::int64_t bytes = grouped_lowbit_workspace(kernel, args, 1);
  const std::int64_t pairs = grouped_lowbit_pairs(args);
  const std::int64_t products =
      std::max<std::int64_t>(1, rows) * problem.n * problem.k;
  at::parallel_for(
      0,
      pairs,
      std::max<std::int64_t>(
          1, pairs * kGrainProducts / std::max<std::int64_t>(1, products)),
      [&](std::int64_t begin, std::int64_t end) {
        run_grouped_lowbit(kernel, args, begin, end, lowbit_workspace(bytes));
      });
}

}  // namespace

Tensor grouped_linear_lowbit(const Tensor& x,
                             const LowbitWeight& weight,
                             std::span<const std::int64_t> ends,
                             Int8Compute activation) {
  check_arguments(x, weight, ends);
  const Shape& shape = weight.encoding()->shape();
  const Tensor rows = x.contiguous();
  const Tensor y =
      at::empty({x.size(0), shape[1]}, rows.options().dtype(at::kFloat));
  std::vector<LowbitActivationBuffer> codes(ends.size());
  std::vector<kernels::LowbitActivations> views(ends.size());
  std::int64_t begin = 0;
  for (std::size_t e = 0; e < ends.size(); begin = ends[e], ++e) {
    if (ends[e] == begin) continue;
    quantize_lowbit_rows(
        rows.narrow(0, begin, ends[e] - begin), activation, codes[e]);
    views[e] = codes[e].view();
  }
  y.narrow(0, begin, x.size(0) - begin).zero_();
  if (begin == 0) return y.to(x.scalar_type());
  GroupedLowbitArgs args;
  args.w = {weight.view(), shape[0]};
  args.ends = ends;
  args.x = views;
  args.y = y.mutable_data_ptr<float>();
  args.y_stride = shape[1];
  run_pairs(args, begin);
  return y.to(x.scalar_type());
}

}  // namespace mantissa
