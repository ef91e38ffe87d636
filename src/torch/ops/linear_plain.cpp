#include "torch/ops/linear_plain.h"

#include <algorithm>
#include <cstdint>
#include <vector>

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linear.h>
#include <c10/core/GradMode.h>

#include "kernels/decode_ops.h"
#include "torch/ops/on_threads.h"

namespace mantissa {
namespace {

constexpr std::int64_t kFewRows = 4;
constexpr std::int64_t kBlockRows = 4096;

bool as_it_lies(const at::Tensor& x, const at::Tensor& weight) {
  const bool differentiable = c10::GradMode::is_enabled() &&
                              (x.requires_grad() || weight.requires_grad());
  return !differentiable && x.is_cpu() && x.dim() >= 1 &&
         x.size(-1) == weight.size(1) && weight.is_cpu() &&
         weight.scalar_type() == at::kBFloat16 &&
         x.scalar_type() == at::kFloat && weight.is_contiguous() &&
         weight.size(1) % 16 == 0 && weight.size(1) > 0 &&
         x.numel() <= kFewRows * weight.size(1);
}

// A part of the weight at a time in x's dtype.
at::Tensor in_blocks(const at::Tensor& x, const at::Tensor& weight) {
  std::vector<at::Tensor> parts;
  for (std::int64_t j = 0; j < weight.size(0); j += kBlockRows) {
    const std::int64_t rows = std::min(kBlockRows, weight.size(0) - j);
    parts.push_back(
        at::linear(x, weight.narrow(0, j, rows).to(x.scalar_type())));
  }
  return parts.size() == 1 ? parts.front() : at::cat(parts, -1);
}

}  // namespace

at::Tensor linear_plain(const at::Tensor& x, const at::Tensor& weight) {
  if (x.scalar_type() == weight.scalar_type()) {
    return at::linear(x, weight);
  }
  if (!as_it_lies(x, weight)) return in_blocks(x, weight);
  const std::int64_t n = weight.size(0);
  const std::int64_t k = weight.size(1);
  const at::Tensor rows = x.reshape({-1, k}).contiguous();
  at::Tensor y = at::empty({rows.size(0), n}, rows.options());
  const auto& ops = kernels::select_decode_ops({k});
  const std::int64_t threads = thread_count();
  on_threads(threads, [&](std::int64_t t) {
    for (std::int64_t i = 0; i < rows.size(0); ++i) {
      kernels::RowsByVectorArgs args;
      args.w = weight.const_data_ptr();
      args.type = kernels::Element::Bf16;
      args.x = rows.const_data_ptr<float>() + i * k;
      args.y = y.mutable_data_ptr<float>() + i * n;
      args.size = k;
      args.begin = n * t / threads;
      args.end = n * (t + 1) / threads;
      ops.rows_by_vector(args);
    }
  });
  Shape sizes = x.sizes().vec();
  sizes.back() = n;
  return y.view(sizes);
}

}  // namespace mantissa
