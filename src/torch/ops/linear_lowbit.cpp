#include "torch/ops/linear_lowbit.h"

#include <algorithm>
#include <variant>

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>

#include "core/aligned_bytes.h"
#include "kernels/linear_lowbit.h"
#include "kernels/linear_lowbit_bf16.h"
#include "kernels/linear_lowbit_float.h"
#include "kernels/lowbit_activations.h"
#include "torch/ops/checks.h"
#include "torch/ops/lowbit_rows.h"
#include "torch/tensor/host_tensors.h"

namespace mantissa {
namespace {

using at::Tensor;
using kernels::LinearLowbitArgs;
using kernels::LinearLowbitBf16Args;
using kernels::LinearLowbitFloatArgs;
using kernels::LowbitActivationBuffer;
using kernels::LowbitBf16Buffer;
using kernels::LowbitFloatBuffer;

constexpr const char* kLinearLowbit = "linear_lowbit";
constexpr std::int64_t kTilesGrain = 1 << 16;

void check_arguments(const Tensor& x,
                     const LowbitWeight& weight,
                     const Tensor& bias) {
  check_last_dim(kLinearLowbit, "x", x, weight.layout().k, "in_features");
  if (!bias.defined()) return;
  check_sizes(kLinearLowbit, "bias", bias, {weight.layout().n});
  TORCH_CHECK_VALUE(bias.is_cpu(),
                    kLinearLowbit,
                    ": bias: expected the CPU, got ",
                    bias.device());
}

// Panels of `out` from rows x, by the threads of ATen's pool.
template <class Value, class Buffer>
void arrange(const Tensor& x, const Value* values, Buffer& out) {
  out.resize(x.size(0), x.size(1));
  at::parallel_for(
      0, out.panels(), kGrainPanels, [&](std::int64_t begin, std::int64_t end) {
        out.fill(values, x.size(1), begin, end);
      });
}

// Pairs of tiles, from the threads of ATen's pool, each of which calls
// behind(begin, end) for the tiles that it has done.
template <class Kernel, class Problem, class Args, class Behind>
void run_tiles(const Kernel& kernel,
               const Problem& problem,
               const Args& args,
               const Behind& behind) {
  const std::int64_t bytes = kernel.workspace_bytes(problem, 1);
  const std::int64_t tiles =
      (args.w.n + kernels::kLowbitTile - 1) / kernels::kLowbitTile;
  const std::int64_t pair =
      2 * kernels::kLowbitTile * std::max<std::int64_t>(1, args.x.m * args.w.k);
  at::parallel_for(
      0,
      (tiles + 1) / 2,
      std::max<std::int64_t>(1, kTilesGrain / pair),
      [&](std::int64_t begin, std::int64_t end) {
        end = std::min(2 * end, tiles);
        kernel.run(args, {2 * begin, end, lowbit_workspace(bytes)});
        behind(2 * begin, end);
      });
}

template <class Kernel, class Problem, class Args>
void run_tiles(const Kernel& kernel, const Problem& problem, const Args& args) {
  run_tiles(kernel, problem, args, [](std::int64_t, std::int64_t) {});
}

// What Args of every kernel have but the results.
template <class Args, class Input>
Args make_args(const LowbitWeight& weight, const Tensor& bias, Input x) {
  Args args;
  args.w = weight.view();
  args.x = x;
  args.bias = bias.defined() ? bias.const_data_ptr<float>() : nullptr;
  args.y_stride = weight.layout().n;
  return args;
}

void multiply(const LowbitFloatBuffer& x,
              const LowbitWeight& weight,
              const Tensor& bias,
              Tensor& y) {
  auto args = make_args<LinearLowbitFloatArgs>(weight, bias, x.view());
  args.y = y.mutable_data_ptr<float>();
  args.values = decoded_type(weight);
  const auto problem = kernels::linear_lowbit_float_problem(args.w, args.x.m);
  run_tiles(kernels::select_linear_lowbit_float(problem), problem, args);
}

void multiply(const LowbitBf16Buffer& x,
              const LowbitWeight& weight,
              const Tensor& bias,
              Tensor& y) {
  auto args = make_args<LinearLowbitBf16Args>(weight, bias, x.view());
  args.narrow =
      reinterpret_cast<std::uint16_t*>(y.mutable_data_ptr<at::BFloat16>());
  const kernels::LinearLowbitBf16Problem problem = {
      args.w.bits, args.x.m, args.w.n, args.w.k, args.w.group, args.x.panel};
  run_tiles(kernels::select_linear_lowbit_bf16(problem), problem, args);
}

void multiply(const LowbitActivationBuffer& x,
              const LowbitWeight& weight,
              const Tensor& bias,
              Tensor& y) {
  auto args = make_args<LinearLowbitArgs>(weight, bias, x.view());
  args.y = y.mutable_data_ptr<float>();
  const auto problem =
      kernels::linear_lowbit_problem(args.w, args.x.m, args.x.group);
  run_tiles(kernels::select_linear_lowbit(problem), problem, args);
}

}  // namespace

bool multiplies_bf16(c10::ScalarType type) {
  return type == at::kBFloat16 && kernels::host_caps().avx512bf16;
}

kernels::LowbitScale decoded_type(const LowbitWeight& weight) {
  const DType type = weight.encoding()->dtype();
  return type == DType::BFloat16  ? kernels::LowbitScale::Bf16
         : type == DType::Float16 ? kernels::LowbitScale::F16
                                  : kernels::LowbitScale::F32;
}

void* lowbit_workspace(std::int64_t bytes) {
  static thread_local AlignedBytes room;
  room.reserve(static_cast<std::size_t>(bytes));
  return room.data();
}

LowbitInput::LowbitInput(const Tensor& x, Int8Compute activation) : x_(x) {
  check_dtype(kLinearLowbit, "x", x, {at::kFloat, at::kBFloat16, at::kHalf});
  TORCH_CHECK_VALUE(
      x.is_cpu(), kLinearLowbit, ": x: expected the CPU, got ", x.device());
  if (x.numel() == 0) return;
  const Tensor rows = x.reshape({-1, x.size(-1)}).contiguous();
  if (activation != Int8Compute::Float) {
    quantize_lowbit_rows(
        rows, activation, rows_.emplace<LowbitActivationBuffer>());
  } else if (multiplies_bf16(x.scalar_type())) {
    arrange(rows,
            reinterpret_cast<const std::uint16_t*>(
                rows.const_data_ptr<at::BFloat16>()),
            rows_.emplace<LowbitBf16Buffer>());
  } else {
    const Tensor wide = rows.to(at::kFloat);
    arrange(
        wide, wide.const_data_ptr<float>(), rows_.emplace<LowbitFloatBuffer>());
  }
}

Tensor LowbitInput::linear(const LowbitWeight& weight,
                           const Tensor& bias) const {
  check_arguments(x_, weight, bias);
  const bool narrow = std::holds_alternative<LowbitBf16Buffer>(rows_);
  if (narrow && weight.view().group < kernels::kLowbitChunk) {
    // No row multiplies bfloat16 with such groups.
    return LowbitInput(x_.to(at::kFloat), Int8Compute::Float)
        .linear(weight, bias)
        .to(x_.scalar_type());
  }
  Shape sizes = x_.sizes().vec();
  sizes.back() = weight.layout().n;
  Tensor y =
      at::empty(sizes, x_.options().dtype(narrow ? at::kBFloat16 : at::kFloat));
  if (x_.numel() > 0 && y.numel() > 0) {
    const Tensor b = bias.defined() ? bias.to(at::kFloat).contiguous() : bias;
    std::visit([&](const auto& rows) { multiply(rows, weight, b, y); }, rows_);
  }
  return y.to(x_.scalar_type());
}

Tensor linear_lowbit(const Tensor& x,
                     const LowbitWeight& weight,
                     const Tensor& bias,
                     Int8Compute activation) {
  return LowbitInput(x, activation).linear(weight, bias);
}

void multiply_codes(
    const kernels::LowbitActivations& x,
    const kernels::LowbitWeightView& w,
    float* y,
    const std::function<void(std::int64_t, std::int64_t)>& behind) {
  LinearLowbitArgs args;
  args.w = w;
  args.x = x;
  args.y = y;
  args.y_stride = w.n;
  const auto problem = kernels::linear_lowbit_problem(w, x.m, 0);
  run_tiles(kernels::select_linear_lowbit(problem),
            problem,
            args,
            [&](std::int64_t begin, std::int64_t end) {
              behind(begin * kernels::kLowbitTile,
                     std::min(end * kernels::kLowbitTile, w.n));
            });
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
  // Threads that wait for the next small weight cost more than they pack.
  constexpr std::int64_t kCodesPerThread = 1 << 20;
  const std::int64_t tile = kernels::kLowbitTile * encoding->shape().back();
  const std::int64_t grain =
      kCodesPerThread / std::max<std::int64_t>(1, tile) + 1;
  const auto parallel =
      [grain](std::int64_t count,
              const std::function<void(std::int64_t, std::int64_t)>& run) {
        at::parallel_for(0, count, grain, run);
      };
  return std::make_shared<LowbitWeight>(encoding, views, parallel);
}

}  // namespace mantissa
