#include <cmath>

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/_int_mm.h>
#include <ATen/ops/amax.h>
#include <ATen/ops/amin.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/isnan.h>
#include <ATen/ops/maximum.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include "torch/ops/compressed_activations.h"
#include "torch/ops/linear_int8.h"
#include "torch/tensor/host_tensors.h"

namespace mantissa {
namespace {

using at::Tensor;

constexpr double kLeastScale = 0x1p-23;

// x [M, K] * w^T of int8 codes, exact: cuBLAS wants M > 16 and multiples of 8,
// and zeros add nothing. On CPUs with VNNI _int_mm of torch 2.11 gives whatever
// was in memory where K is 1.
Tensor integer_product(const Tensor& x, const Tensor& w) {
  if (!x.is_cuda()) {
    if (x.size(1) != 1) return at::_int_mm(x, w.t());
    const std::vector<std::int64_t> one_more = {0, 1};
    return at::_int_mm(at::constant_pad_nd(x, one_more),
                       at::constant_pad_nd(w, one_more).t());
  }
  const auto up = [](std::int64_t size) { return (size + 7) / 8 * 8; };
  const std::int64_t m = std::max<std::int64_t>(24, up(x.size(0)));
  const std::int64_t n = up(w.size(0));
  const std::int64_t k = up(w.size(1));
  const auto padded = [k](const Tensor& t, std::int64_t rows) {
    return at::constant_pad_nd(t, {0, k - t.size(1), 0, rows - t.size(0)})
        .contiguous();
  };
  return at::_int_mm(padded(x, m), padded(w, n).t())
      .slice(0, 0, x.size(0))
      .slice(1, 0, w.size(0));
}

struct Params {
  Tensor scale;       // float32 [M, 1] or [1, 1]
  Tensor zero_point;  // int8 like scale
};

Params params_of(const Tensor& x, const Int8Activation& activation) {
  if (activation.scale.defined()) {
    const Tensor scale = activation.scale.reshape({-1, 1});
    return {scale,
            activation.zero_point.defined()
                ? activation.zero_point.reshape({-1, 1})
                : at::zeros_like(scale, at::TensorOptions(at::kChar))};
  }
  const double qmin = activation.reduce_range ? -64 : -128;
  const double qmax = activation.reduce_range ? 63 : 127;
  const std::vector<std::int64_t> dims = activation.per_tensor
                                             ? std::vector<std::int64_t>{0, 1}
                                             : std::vector<std::int64_t>{1};
  const Tensor low = at::amin(x, dims, true).clamp_max(0);
  const Tensor high = at::amax(x, dims, true).clamp_min(0);
  if (activation.mapping == MappingType::Asymmetric) {
    const Tensor scale = ((high - low) / (qmax - qmin)).clamp_min(kLeastScale);
    const Tensor zero = (qmin - (low / scale).round()).clamp(qmin, qmax);
    return {scale.to(at::kFloat), zero.to(at::kChar)};
  }
  const Tensor scale =
      (at::maximum(-low, high) / ((qmax - qmin) / 2)).clamp_min(kLeastScale);
  return {scale.to(at::kFloat),
          at::zeros_like(scale, at::TensorOptions(at::kChar))};
}

Params compressed_params_of(const Tensor& x, const Int8Activation& activation) {
  if (activation.scale.defined()) {
    Params given = params_of(x, activation);
    given.scale =
        given.scale.masked_fill(at::isnan(x).any(1, true), std::nan(""));
    return given;
  }
  CompressedActivations how;
  how.symmetric = activation.mapping == MappingType::Symmetric;
  how.strategy = activation.per_tensor ? ActivationStrategy::Tensor
                                       : ActivationStrategy::Token;
  const CompressedScale found = compressed_scale(x, how);
  return {found.scale.to(at::kFloat), found.zero_point.to(at::kChar)};
}

// What is left without rows or columns: the bias, or 0.
Tensor empty_sum(const Tensor& x,
                 c10::IntArrayRef sizes,
                 const Tensor& bias,
                 c10::ScalarType out_dtype) {
  const Tensor y = at::zeros(sizes, x.options().dtype(out_dtype));
  return bias.defined() ? (y + bias).to(out_dtype) : y;
}

}  // namespace

Tensor linear_int8_by_aten(const Tensor& x,
                           const Tensor& qdata,
                           const Tensor& scale,
                           const Tensor& bias,
                           const Int8Activation& activation,
                           c10::ScalarType out_dtype) {
  Shape sizes = x.sizes().vec();
  sizes.back() = qdata.size(0);
  if (x.numel() == 0 || qdata.numel() == 0) {
    return empty_sum(x, sizes, bias, out_dtype);
  }
  const Tensor rows = x.reshape({-1, qdata.size(1)});
  const bool divides = activation.formula == RowFormula::CompressedTensors;
  const Params params = divides ? compressed_params_of(rows, activation)
                                : params_of(rows, activation);
  const double qmin = activation.reduce_range ? -64 : -128;
  const double qmax = activation.reduce_range ? 63 : 127;
  const Tensor codes =
      divides ? compressed_codes(rows, params.scale, params.zero_point)
                    .nan_to_num(0)
                    .to(at::kChar)
              : ((rows * params.scale.reciprocal()).round() + params.zero_point)
                    .clamp(qmin, qmax)
                    .to(at::kChar);
  Tensor y = (integer_product(codes, qdata).to(at::kFloat) * params.scale)
                 .to(out_dtype);
  if (activation.mapping == MappingType::Asymmetric) {
    const Tensor sums = qdata.sum(-1).to(at::kFloat);
    y = y -
        (params.zero_point.to(at::kFloat) * params.scale * sums).to(out_dtype);
  }
  y = y * scale.flatten();
  if (bias.defined()) y += bias;
  return y.to(out_dtype).reshape(sizes);
}

}  // namespace mantissa
