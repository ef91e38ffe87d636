#include "torch/ops/packed_int8.h"

#include <algorithm>
#include <utility>
#include <vector>

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/sum.h>

#include "kernels/common/element_dtype.h"
#include "torch/ops/linear_lowbit.h"
#include "torch/ops/lowbit_rows.h"
#include "torch/tensor/host_tensors.h"

namespace mantissa {

using at::Tensor;
using kernels::kLowbitTile;

Int8Weight::Int8Weight(std::shared_ptr<const LowbitWeight> codes,
                       const Tensor& scale,
                       const Tensor& qdata)
    : codes_(std::move(codes)),
      scale_(scale.flatten().contiguous()),
      sums_(qdata.sum(-1, false, at::kLong).to(at::kFloat)),
      view_(codes_->view()) {
  ones_ = at::ones({codes_->layout().tiles() * kLowbitTile}, at::kBFloat16);
  view_.scale_type = kernels::LowbitScale::Bf16;
  view_.scales = ones_.const_data_ptr();
}

Int8Input::Int8Input(const Tensor& x, const Int8Activation& activation)
    : x_(x), activation_(activation) {
  if (!x.is_cpu() || x.numel() == 0) return;
  rows_ = std::make_unique<const Int8Rows>(x, activation);
  const std::vector<float> ones(static_cast<std::size_t>(rows_->rows()), 1.0f);
  panels_.resize(rows_->rows(), rows_->columns(), /*group=*/0, /*zeros=*/false);
  at::parallel_for(0,
                   panels_.panels(),
                   kGrainPanels,
                   [&](std::int64_t begin, std::int64_t end) {
                     panels_.take_rows(
                         rows_->codes(), ones.data(), nullptr, begin, end);
                   });
}

Tensor Int8Input::linear(const Int8Weight& weight,
                         const Tensor& bias,
                         c10::ScalarType out_dtype) const {
  const std::int64_t n = weight.view().n;
  TORCH_CHECK_VALUE(
      x_.is_cpu(), "linear_int8: x: expected the CPU, got ", x_.device());
  check_linear_int8(
      x_, n, weight.columns(), weight.scale(), bias, activation_, out_dtype);
  Shape sizes = x_.sizes().vec();
  sizes.back() = n;
  Tensor y = at::empty(sizes, x_.options().dtype(out_dtype));
  if (y.numel() == 0) return y;
  const Tensor b = readable_bias(bias);
  kernels::LinearInt8Args args = rows_->args(n, weight.scale(), b);
  args.w_sums = weight.sums();
  args.y = y.mutable_data_ptr();
  const auto out = kernels::to_element(dtype_of(out_dtype));
  // Sums that are float32, like the results, stand where those will.
  const Tensor sums =
      out == kernels::Element::F32 ? y : at::empty({args.m, n}, at::kFloat);
  auto* values = sums.mutable_data_ptr<float>();
  multiply_codes(panels_.view(),
                 weight.view(),
                 values,
                 [&](std::int64_t begin, std::int64_t end) {
                   kernels::finish_linear_int8(
                       out, args, {0, args.m, begin, end}, values, n);
                 });
  return y;
}

void Int8Input::run_row(const kernels::LinearLowbitKernel& kernel,
                        const Int8Weight& weight,
                        const Tensor& bias,
                        const kernels::LinearLowbitTiles& tiles,
                        float* y) const {
  const std::int64_t n = weight.view().n;
  kernel.run({.w = weight.view(), .x = panels_.view(), .y = y, .y_stride = n},
             tiles);
  kernels::LinearInt8Args args = rows_->args(n, weight.scale(), bias);
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
