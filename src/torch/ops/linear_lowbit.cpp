#include "torch/ops/linear_lowbit.h"

#include <algorithm>
#include <span>
#include <type_traits>
#include <utility>
#include <variant>

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>

#include "core/aligned_bytes.h"
#include "kernels/grouped_lowbit.h"
#include "torch/ops/checks.h"
#include "torch/ops/lowbit_rows.h"
#include "torch/ops/on_threads.h"
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
constexpr std::int64_t kProductsGrain = 1 << 16;

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

// run(e, begin, count) for experts that have rows.
template <class Run>
void for_experts(const std::vector<std::int64_t>& ends, const Run& run) {
  std::int64_t begin = 0;
  for (std::size_t e = 0; e < ends.size(); begin = ends[e], ++e) {
    if (ends[e] > begin) run(e, begin, ends[e] - begin);
  }
}

// Panels of rows [T, k], each expert's in a buffer of its own, by the threads
// of ATen's pool.
template <class Value, class Buffer>
void arrange(const Value* values,
             std::int64_t k,
             const std::vector<std::int64_t>& ends,
             std::vector<Buffer>& out) {
  std::int64_t panels = 0;
  for_experts(ends, [&](std::size_t e, std::int64_t, std::int64_t count) {
    out[e].resize(count, k);
    panels += out[e].panels();
  });
  at::parallel_for(
      0, panels, kGrainPanels, [&](std::int64_t begin, std::int64_t end) {
        const auto row = [&](std::size_t e) {
          return e == 0 ? 0 : ends[e - 1];
        };
        for_overlaps(
            ends.size(),
            {begin, end},
            [&](std::size_t e) {
              return ends[e] > row(e) ? out[e].panels() : 0;
            },
            [&](std::size_t e, Share part) {
              out[e].fill(values + row(e) * k, k, part.begin, part.end);
            });
      });
}

// Pairs of tiles, from the threads of ATen's pool.
template <class Product, class Behind>
void run_products(const std::vector<Product>& products, const Behind& behind) {
  const std::span<const Product> all = products;
  const std::int64_t cost = kernels::lowbit_cost(all);
  const std::int64_t bytes = kernels::lowbit_workspace_bytes(all);
  std::int64_t work = 1;
  for (const Product& one : products) {
    work += one.args.x.m * one.args.w.n * one.args.w.k;
  }
  at::parallel_for(0,
                   cost,
                   std::max<std::int64_t>(1, cost * kProductsGrain / work),
                   [&](std::int64_t begin, std::int64_t end) {
                     kernels::run_lowbit_products(
                         all, begin, end, lowbit_workspace(bytes), behind);
                   });
}

// Where results stand, from value `at` of y on.
template <class Args>
void put_result(Args& args, const Tensor& y, std::int64_t at) {
  args.y = y.mutable_data_ptr<float>() + at;
}

void put_result(LinearLowbitBf16Args& args, const Tensor& y, std::int64_t at) {
  args.narrow =
      reinterpret_cast<std::uint16_t*>(y.mutable_data_ptr<at::BFloat16>()) + at;
}

template <class Args, class Buffer>
void multiply(const std::vector<Buffer>& x,
              const std::vector<std::int64_t>& ends,
              const LowbitWeight& weight,
              const Tensor& bias,
              const Tensor& y) {
  const kernels::ExpertsView experts = {weight.view(), std::ssize(ends)};
  Args args;
  args.bias = bias.defined() ? bias.const_data_ptr<float>() : nullptr;
  args.y_stride = experts.columns();
  if constexpr (std::is_same_v<Args, LinearLowbitFloatArgs>) {
    args.values = decoded_type(weight);
  }
  std::vector<decltype(kernels::lowbit_product(args))> products;
  for_experts(ends, [&](std::size_t e, std::int64_t begin, std::int64_t) {
    args.w = experts.expert(static_cast<std::int64_t>(e));
    args.x = x[e].view();
    put_result(args, y, begin * args.y_stride);
    products.push_back(kernels::lowbit_product(args));
  });
  run_products(products, [](std::size_t, kernels::LowbitColumns) {});
}

using CodeRows = std::vector<LowbitActivationBuffer>;
using FloatRows = std::vector<LowbitFloatBuffer>;
using Bf16Rows = std::vector<LowbitBf16Buffer>;

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

LowbitInput::LowbitInput(const Tensor& x,
                         Int8Compute activation,
                         std::vector<std::int64_t> ends)
    : x_(x), ends_(std::move(ends)) {
  check_dtype(kLinearLowbit, "x", x, {at::kFloat, at::kBFloat16, at::kHalf});
  TORCH_CHECK_VALUE(
      x.is_cpu(), kLinearLowbit, ": x: expected the CPU, got ", x.device());
  if (x.numel() == 0) return;
  const Tensor rows = x.reshape({-1, x.size(-1)}).contiguous();
  if (ends_.empty()) ends_ = {rows.size(0)};
  const std::int64_t k = rows.size(1);
  if (activation != Int8Compute::Float) {
    auto& codes = rows_.emplace<CodeRows>(ends_.size());
    for_experts(ends_,
                [&](std::size_t e, std::int64_t begin, std::int64_t count) {
                  quantize_lowbit_rows(
                      rows.narrow(0, begin, count), activation, codes[e]);
                });
  } else if (multiplies_bf16(x.scalar_type())) {
    arrange(reinterpret_cast<const std::uint16_t*>(
                rows.const_data_ptr<at::BFloat16>()),
            k,
            ends_,
            rows_.emplace<Bf16Rows>(ends_.size()));
  } else {
    const Tensor wide = rows.to(at::kFloat);
    arrange(wide.const_data_ptr<float>(),
            k,
            ends_,
            rows_.emplace<FloatRows>(ends_.size()));
  }
}

Tensor LowbitInput::linear(const LowbitWeight& weight,
                           const Tensor& bias) const {
  check_arguments(x_, weight, bias);
  const bool narrow = std::holds_alternative<Bf16Rows>(rows_);
  if (narrow && weight.view().group < kernels::kLowbitChunk) {
    // No row multiplies bfloat16 with such groups.
    return LowbitInput(x_.to(at::kFloat), Int8Compute::Float, ends_)
        .linear(weight, bias)
        .to(x_.scalar_type());
  }
  Shape sizes = x_.sizes().vec();
  sizes.back() =
      weight.layout().n / std::max<std::int64_t>(1, std::ssize(ends_));
  const Tensor y =
      at::empty(sizes, x_.options().dtype(narrow ? at::kBFloat16 : at::kFloat));
  if (x_.numel() > 0 && y.numel() > 0) {
    const Tensor b = bias.defined() ? bias.to(at::kFloat).contiguous() : bias;
    if (const auto* codes = std::get_if<CodeRows>(&rows_)) {
      multiply<LinearLowbitArgs>(*codes, ends_, weight, b, y);
    } else if (const auto* bf16s = std::get_if<Bf16Rows>(&rows_)) {
      multiply<LinearLowbitBf16Args>(*bf16s, ends_, weight, b, y);
    } else {
      multiply<LinearLowbitFloatArgs>(
          std::get<FloatRows>(rows_), ends_, weight, b, y);
    }
  }
  return y.to(x_.scalar_type());
}

Tensor linear_lowbit(const Tensor& x,
                     const LowbitWeight& weight,
                     const Tensor& bias,
                     Int8Compute activation) {
  return LowbitInput(x, activation).linear(weight, bias);
}

void multiply_codes(std::span<const LinearLowbitArgs> products,
                    const CodesBehind& behind) {
  std::vector<kernels::LowbitInt8Product> all;
  for (const LinearLowbitArgs& args : products) {
    all.push_back(kernels::lowbit_product(args));
  }
  run_products(all, behind);
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
