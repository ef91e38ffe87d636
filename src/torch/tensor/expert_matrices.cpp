#include "torch/tensor/expert_matrices.h"

#include <algorithm>

#include <ATen/ops/cat.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/repeat_interleave.h>
#include <ATen/ops/tensor.h>

namespace mantissa {
namespace {

using at::Tensor;

// Whether all of a row [each] are the same.
bool alike(const Tensor& rows) {
  return !rows.defined() ||
         at::equal(rows, rows.narrow(1, 0, 1).expand_as(rows));
}

}  // namespace

MatrixActivations MatrixActivations::of(const Tensor& scale,
                                        const Tensor& zero_point,
                                        std::int64_t experts) {
  MatrixActivations out = {scale, zero_point};
  if (!scale.defined() || scale.numel() == 1) return out;
  const auto of_experts = [experts](const Tensor& values) {
    return values.defined() ? values.reshape({experts, -1}) : values;
  };
  out.scale = of_experts(scale);
  out.zero_point = of_experts(zero_point);
  out.each = out.scale.size(1);
  if (alike(out.scale) && alike(out.zero_point)) {
    out.each = 1;
    out.scale = out.scale.select(1, 0);
    if (zero_point.defined()) out.zero_point = out.zero_point.select(1, 0);
  }
  out.scale = out.scale.flatten();
  if (zero_point.defined()) out.zero_point = out.zero_point.flatten();
  return out;
}

ExpertMatrices::ExpertMatrices(const std::vector<std::int64_t>& ends,
                               std::int64_t each)
    : each_(each) {
  std::int64_t begin = 0;
  for (const std::int64_t end : ends) {
    for (std::int64_t i = 0; i < each; ++i) {
      ends_.push_back((ends_.empty() ? 0 : ends_.back()) + end - begin);
    }
    begin = end;
  }
}

Tensor ExpertMatrices::rows(const Tensor& x) const {
  if (each_ == 1 || x.size(0) == 0) return x;
  std::vector<Tensor> parts;
  std::int64_t begin = 0;
  for (std::size_t i = 0; i < ends_.size(); ++i) {
    const std::int64_t first = i == 0 ? 0 : ends_[i - 1];
    const std::int64_t count = ends_[i] - first;
    parts.push_back(x.narrow(0, begin, count));
    // The next expert's rows stand behind those of its last matrix.
    if ((i + 1) % static_cast<std::size_t>(each_) == 0) begin += count;
  }
  return at::cat(parts);
}

Tensor ExpertMatrices::values(const Tensor& of_matrices) const {
  if (!of_matrices.defined() || of_matrices.numel() == 1) return of_matrices;
  std::vector<std::int64_t> counts;
  for (std::size_t i = 0; i < ends_.size(); ++i) {
    counts.push_back(ends_[i] - (i == 0 ? 0 : ends_[i - 1]));
  }
  return at::repeat_interleave(of_matrices, at::tensor(counts, at::kLong))
      .unsqueeze(-1);
}

Tensor ExpertMatrices::joined(const Tensor& y) const {
  if (each_ == 1) return y;
  const std::int64_t n = y.size(1);
  std::vector<Tensor> parts = {y.narrow(0, 0, 0).reshape({0, each_ * n})};
  std::int64_t begin = 0;
  for (std::size_t e = static_cast<std::size_t>(each_) - 1; e < ends_.size();
       e += static_cast<std::size_t>(each_)) {
    const std::int64_t rows = (ends_[e] - begin) / each_;
    parts.push_back(y.narrow(0, begin, ends_[e] - begin)
                        .view({each_, rows, n})
                        .transpose(0, 1)
                        .reshape({rows, each_ * n}));
    begin = ends_[e];
  }
  return at::cat(parts);
}

}  // namespace mantissa
