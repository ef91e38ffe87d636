#include "torch/ops/packed_int8.h"

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/repeat_interleave.h>
#include <ATen/ops/sum.h>

#include "kernels/common/element_dtype.h"
#include "kernels/grouped_lowbit.h"
#include "torch/ops/linear_lowbit.h"
#include "torch/ops/lowbit_rows.h"
#include "torch/ops/on_threads.h"
#include "torch/tensor/host_tensors.h"

namespace mantissa {

using at::Tensor;
using kernels::kLowbitTile;

namespace {

// One for each row of qdata [.., N, K], or one for all.
Tensor scales_of_rows(const Tensor& scale, const Tensor& qdata) {
  Tensor out = scale;
  if (out.numel() > 1) {
    while (out.dim() < qdata.dim()) out = out.unsqueeze(-1);
    for (std::int64_t d = 0; d + 1 < qdata.dim(); ++d) {
      out = out.repeat_interleave(qdata.size(d) / out.size(d), d);
    }
  }
  return out.flatten().contiguous();
}

// The arguments of rows [begin, begin + count) of x and of part `index`, of
// `args.n` rows, of a weight.
kernels::LinearInt8Args part_of(kernels::LinearInt8Args args,
                                kernels::Element out,
                                std::int64_t index,
                                std::int64_t begin,
                                std::int64_t count) {
  const auto bytes = [](kernels::Element type) {
    return type == kernels::Element::F32 ? 4 : 2;
  };
  const std::int64_t row = index * args.n;
  args.m = count;
  args.x += begin * args.k;
  args.x_scale += begin;
  if (args.x_zero_point != nullptr) args.x_zero_point += begin;
  args.w_scale += row * args.w_scale_stride;
  args.w_sums += row;
  if (args.bias != nullptr) {
    args.bias =
        static_cast<const std::byte*>(args.bias) + row * bytes(args.bias_type);
  }
  args.y = static_cast<std::byte*>(args.y) + begin * args.n * bytes(out);
  return args;
}

}  // namespace

Int8Weight::Int8Weight(std::shared_ptr<const LowbitWeight> codes,
                       const Tensor& scale,
                       const Tensor& qdata)
    : codes_(std::move(codes)),
      scale_(scales_of_rows(scale, qdata)),
      sums_(qdata.sum(-1, false, at::kLong).to(at::kFloat).flatten()),
      view_(codes_->view()) {
  ones_ = at::ones({codes_->layout().tiles() * kLowbitTile}, at::kBFloat16);
  view_.scale_type = kernels::LowbitScale::Bf16;
  view_.scales = ones_.const_data_ptr();
}

void Int8Input::take(const Tensor& x,
                     const Int8Activation& activation,
                     std::vector<std::int64_t> ends) {
  x_ = x;
  activation_ = activation;
  ends_ = std::move(ends);
  used_ = 0;
  if (!x.is_cpu() || x.numel() == 0) return;
  rows_.take(x, activation, ends_);
  arrange();
}

void Int8Input::arrange() {
  std::int64_t begin = 0;
  const auto add = [&](std::int64_t index, std::int64_t end) {
    if (end == begin) return;
    if (used_ == parts_.size()) parts_.emplace_back();
    Part& part = parts_[used_++];
    part.index = index;
    part.begin = begin;
    part.count = end - begin;
    part.panels.resize(part.count, rows_.columns(), /*group=*/0, false);
    begin = end;
  };
  if (ends_.empty()) add(0, rows_.rows());
  for (std::size_t e = 0; e < ends_.size(); ++e) {
    add(static_cast<std::int64_t>(e), ends_[e]);
  }
  std::int64_t panels = 0;
  for (std::size_t i = 0; i < used_; ++i) panels += parts_[i].panels.panels();
  at::parallel_for(
      0, panels, kGrainPanels, [&](std::int64_t from, std::int64_t to) {
        for_overlaps(
            used_,
            {from, to},
            [&](std::size_t i) { return parts_[i].panels.panels(); },
            [&](std::size_t i, Share mine) {
              Part& part = parts_[i];
              part.panels.take_rows(
                  rows_.codes() + part.begin * rows_.columns(),
                  /*scales=*/nullptr,
                  /*zeros=*/nullptr,
                  mine.begin,
                  mine.end);
            });
      });
}

Tensor Int8Input::linear(const Int8Weight& weight,
                         const Tensor& bias,
                         c10::ScalarType out_dtype) const {
  TORCH_CHECK_VALUE(
      x_.is_cpu(), "linear_int8: x: expected the CPU, got ", x_.device());
  check_linear_int8(x_,
                    weight.view().n,
                    weight.columns(),
                    weight.scale(),
                    bias,
                    activation_,
                    out_dtype);
  const kernels::ExpertsView parts = {
      weight.view(), std::max<std::int64_t>(1, std::ssize(ends_))};
  const std::int64_t n = parts.columns();
  Shape sizes = x_.sizes().vec();
  sizes.back() = n;
  Tensor y = at::empty(sizes, x_.options().dtype(out_dtype));
  if (y.numel() == 0) return y;
  const Tensor b = readable_bias(bias);
  kernels::LinearInt8Args all = rows_.args(n, weight.scale(), b);
  all.w_sums = weight.sums();
  all.y = y.mutable_data_ptr();
  const auto out = kernels::to_element(dtype_of(out_dtype));
  // Sums that are float32, like the results, stand where those will.
  const Tensor sums =
      out == kernels::Element::F32 ? y : at::empty({all.m, n}, at::kFloat);
  auto* values = sums.mutable_data_ptr<float>();
  std::vector<kernels::LinearLowbitArgs> products;
  for (std::size_t i = 0; i < used_; ++i) {
    products.push_back({.w = parts.expert(parts_[i].index),
                        .x = parts_[i].panels.view(),
                        .y = values + parts_[i].begin * n,
                        .y_stride = n});
  }
  multiply_codes(products, [&](std::size_t i, kernels::LowbitColumns columns) {
    const Part& part = parts_[i];
    kernels::finish_linear_int8(
        out,
        part_of(all, out, part.index, part.begin, part.count),
        {0, part.count, columns.begin, columns.end},
        products[i].y,
        n);
  });
  return y;
}

void Int8Input::run_row(const kernels::LinearLowbitKernel& kernel,
                        const Int8Weight& weight,
                        const Tensor& bias,
                        const kernels::LinearLowbitTiles& tiles,
                        float* y) const {
  const std::int64_t n = weight.view().n;
  kernel.run({.w = weight.view(),
              .x = parts_.front().panels.view(),
              .y = y,
              .y_stride = n},
             tiles);
  kernels::LinearInt8Args args = rows_.args(n, weight.scale(), bias);
  args.w_sums = weight.sums();
  args.y = y;
  kernels::finish_linear_int8(
      kernels::Element::F32,
      args,
      {0, 1, tiles.begin * kLowbitTile, std::min(tiles.end * kLowbitTile, n)},
      y,
      n);
}

}  // namespace mantissa
