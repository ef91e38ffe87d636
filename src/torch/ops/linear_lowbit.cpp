#include "torch/ops/linear_lowbit.h"

#include <algorithm>
#include <cstring>

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
constexpr std::int64_t kGrainProducts = 1 << 16;

void check_arguments(const Tensor& x,
                     const LowbitWeight& weight,
                     const Tensor& bias) {
  check_dtype(kLinearLowbit, "x", x, {at::kFloat, at::kBFloat16, at::kHalf});
  TORCH_CHECK_VALUE(
      x.is_cpu(), kLinearLowbit, ": x: expected the CPU, got ", x.device());
  check_last_dim(kLinearLowbit, "x", x, weight.layout().k, "in_features");
  if (!bias.defined()) return;
  check_sizes(kLinearLowbit, "bias", bias, {weight.layout().n});
  TORCH_CHECK_VALUE(bias.is_cpu(),
                    kLinearLowbit,
                    ": bias: expected the CPU, got ",
                    bias.device());
}

void arrange_floats(const Tensor& x, LowbitFloatBuffer& out) {
  const Tensor wide = x.to(at::kFloat);
  out.resize(x.size(0), x.size(1));
  const auto* from = wide.const_data_ptr<float>();
  at::parallel_for(
      0, out.panels(), kGrainPanels, [&](std::int64_t begin, std::int64_t end) {
        out.fill(from, x.size(1), begin, end);
      });
}

// Pairs of tiles, from the threads of ATen's pool.
template <class Kernel, class Args>
void run_tiles(const Kernel& kernel, const Args& args) {
  const std::int64_t tiles =
      (args.w.n + kernels::kLowbitTile - 1) / kernels::kLowbitTile;
  const std::int64_t pair =
      2 * kernels::kLowbitTile * std::max<std::int64_t>(1, args.x.m * args.w.k);
  at::parallel_for(
      0,
      (tiles + 1) / 2,
      std::max<std::int64_t>(1, kGrainProducts / pair),
      [&](std::int64_t begin, std::int64_t end) {
        kernel.run(args,
                   {2 * begin, std::min(2 * end, tiles), lowbit_workspace()});
      });
}

// What Args of every kernel have but the activations.
template <class Args>
Args make_args(const LowbitWeight& weight, const Tensor& bias, Tensor& y) {
  Args args;
  args.w = weight.view();
  args.bias = bias.defined() ? bias.const_data_ptr<float>() : nullptr;
  if (y.scalar_type() == at::kFloat) args.y = y.mutable_data_ptr<float>();
  args.y_stride = weight.layout().n;
  return args;
}

// Whether bfloat16 is multiplied, and written, as it is.
bool takes_bf16(const Tensor& x, Int8Compute activation) {
  return activation == Int8Compute::Float && x.scalar_type() == at::kBFloat16 &&
         kernels::host_caps().avx512bf16;
}

void multiply_floats(const Tensor& x,
                     const LowbitWeight& weight,
                     const Tensor& bias,
                     Tensor& y) {
  LowbitFloatBuffer floats;
  arrange_floats(x, floats);
  auto args = make_args<LinearLowbitFloatArgs>(weight, bias, y);
  const DType decoded = weight.encoding()->dtype();
  args.values = decoded == DType::BFloat16  ? kernels::LowbitScale::Bf16
                : decoded == DType::Float16 ? kernels::LowbitScale::F16
                                            : kernels::LowbitScale::F32;
  args.x = floats.view();
  run_tiles(kernels::select_linear_lowbit_float(
                {args.w.bits, args.x.m, args.w.n, args.w.k}),
            args);
}

void multiply_bf16s(const Tensor& x,
                    const LowbitWeight& weight,
                    const Tensor& bias,
                    Tensor& y) {
  LowbitBf16Buffer values;
  values.resize(x.size(0), x.size(1));
  const auto* from =
      reinterpret_cast<const std::uint16_t*>(x.const_data_ptr<at::BFloat16>());
  at::parallel_for(0,
                   values.panels(),
                   kGrainPanels,
                   [&](std::int64_t begin, std::int64_t end) {
                     values.fill(from, x.size(1), begin, end);
                   });
  auto args = make_args<LinearLowbitBf16Args>(weight, bias, y);
  args.narrow =
      reinterpret_cast<std::uint16_t*>(y.mutable_data_ptr<at::BFloat16>());
  args.x = values.view();
  run_tiles(kernels::select_linear_lowbit_bf16(
                {args.w.bits, args.x.m, args.w.n, args.w.k}),
            args);
}

void multiply_codes(const Tensor& x,
                    const LowbitWeight& weight,
                    const Tensor& bias,
                    Int8Compute activation,
                    Tensor& y) {
  LowbitActivationBuffer codes;
  quantize_lowbit_rows(x, activation, codes);
  auto args = make_args<LinearLowbitArgs>(weight, bias, y);
  args.x = codes.view();
  run_tiles(
      kernels::select_linear_lowbit(
          {args.w.bits,
           args.x.m,
           args.w.n,
           args.w.k,
           kernels::lowbit_segment(args.w.group, args.x.group, args.w.k)}),
      args);
}

}  // namespace

void* lowbit_workspace() {
  static thread_local AlignedBytes bytes(
      static_cast<std::size_t>(kernels::kLowbitWorkspace));
  return bytes.data();
}

Tensor linear_lowbit(const Tensor& x,
                     const LowbitWeight& weight,
                     const Tensor& bias,
                     Int8Compute activation) {
  check_arguments(x, weight, bias);
  const kernels::LowbitLayout& layout = weight.layout();
  const Tensor rows = x.reshape({-1, layout.k}).contiguous();
  Shape sizes = x.sizes().vec();
  sizes.back() = layout.n;
  const bool narrow = takes_bf16(x, activation);
  Tensor y =
      at::empty({rows.size(0), layout.n},
                rows.options().dtype(narrow ? at::kBFloat16 : at::kFloat));
  if (y.numel() > 0) {
    const Tensor b = bias.defined() ? bias.to(at::kFloat).contiguous() : bias;
    if (narrow) {
      multiply_bf16s(rows, weight, b, y);
    } else if (activation == Int8Compute::Float) {
      multiply_floats(rows, weight, b, y);
    } else {
      multiply_codes(rows, weight, b, activation, y);
    }
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
