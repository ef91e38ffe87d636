#include "torch/ops/linear_lowbit.h"

#include <algorithm>
#include <cstring>

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>

#include "core/aligned_bytes.h"
#include "kernels/linear_lowbit.h"
#include "kernels/lowbit_activations.h"
#include "torch/ops/checks.h"
#include "torch/ops/lowbit_rows.h"
#include "torch/tensor/host_tensors.h"

namespace mantissa {
namespace {

using at::Tensor;
using kernels::LinearLowbitArgs;
using kernels::LowbitActivationBuffer;

constexpr const char* kOp = "linear_lowbit";
constexpr std::int64_t kGrainProducts = 1 << 16;

void check_arguments(const Tensor& x,
                     const LowbitWeight& weight,
                     const Tensor& bias) {
  check_dtype(kOp, "x", x, {at::kFloat, at::kBFloat16, at::kHalf});
  TORCH_CHECK_VALUE(x.is_cpu(), kOp, ": x: expected the CPU, got ", x.device());
  check_last_dim(kOp, "x", x, weight.layout().k, "in_features");
  if (!bias.defined()) return;
  check_sizes(kOp, "bias", bias, {weight.layout().n});
  TORCH_CHECK_VALUE(
      bias.is_cpu(), kOp, ": bias: expected the CPU, got ", bias.device());
}

// A thread's room for kernels.
void* workspace() {
  static thread_local AlignedBytes bytes(
      static_cast<std::size_t>(kernels::kLowbitWorkspace));
  return bytes.data();
}

// Pairs of tiles, from the threads of ATen's pool.
void run_tiles(const LinearLowbitArgs& args) {
  const auto& kernel = kernels::select_linear_lowbit(
      {args.w.bits, args.x.m, args.w.n, args.w.k});
  const std::int64_t tiles =
      (args.w.n + kernels::kLowbitTile - 1) / kernels::kLowbitTile;
  const std::int64_t pair =
      2 * kernels::kLowbitTile * std::max<std::int64_t>(1, args.x.m * args.w.k);
  at::parallel_for(
      0,
      (tiles + 1) / 2,
      std::max<std::int64_t>(1, kGrainProducts / pair),
      [&](std::int64_t begin, std::int64_t end) {
        kernel.run(args, {2 * begin, std::min(2 * end, tiles), workspace()});
      });
}

}  // namespace

Tensor linear_lowbit(const Tensor& x,
                     const LowbitWeight& weight,
                     const Tensor& bias,
                     Int8Compute activation) {
  check_arguments(x, weight, bias);
  const kernels::LowbitLayout& layout = weight.layout();
  const Tensor rows = x.reshape({-1, layout.k}).contiguous();
  Shape sizes = x.sizes().vec();
  sizes.back() = layout.n;
  Tensor y =
      at::empty({rows.size(0), layout.n}, rows.options().dtype(at::kFloat));
  if (y.numel() > 0) {
    LowbitActivationBuffer codes;
    quantize_lowbit_rows(rows, activation, codes);
    const Tensor b = bias.defined() ? bias.to(at::kFloat).contiguous() : bias;
    LinearLowbitArgs args;
    args.w = weight.view();
    args.x = codes.view();
    args.bias = b.defined() ? b.const_data_ptr<float>() : nullptr;
    args.y = y.mutable_data_ptr<float>();
    args.y_stride = layout.n;
    run_tiles(args);
  }
  return y.to(x.scalar_type()).reshape(sizes);
}

std::shared_ptr<const LowbitWeight> pack_lowbit_weight(
    const std::shared_ptr<const Encoding>& encoding,
    const std::vector<Tensor>& fields) {
  std::vector<Tensor> dense;
  std::vector<ConstTensorView> views;
  for (const Tensor& field : fields) {
    dense.push_back(field.contiguous());
    views.push_back(host_view(dense.back()));
  }
  const auto parallel =
      [](std::int64_t count,
         const std::function<void(std::int64_t, std::int64_t)>& run) {
        at::parallel_for(0, count, 4, run);
      };
  return std::make_shared<LowbitWeight>(encoding, views, parallel);
}

}  // namespace mantissa
