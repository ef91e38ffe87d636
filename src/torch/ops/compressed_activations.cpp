#include "torch/ops/compressed_activations.h"

#include <vector>

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/maximum.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros_like.h>
#include <c10/util/Exception.h>

#include "primitives/compressed_qparams.h"
#include "torch/ops/checks.h"
#include "torch/tensor/host_tensors.h"

namespace mantissa {
namespace {

using at::Tensor;

constexpr const char* kOp = "compressed-tensors activations";
constexpr double kFloat8Max = 448.0;  // largest e4m3 value

}  // namespace

CompressedScale compressed_scale(const Tensor& x,
                                 const CompressedActivations& how) {
  const bool whole = how.strategy == ActivationStrategy::Tensor;
  const Tensor low =
      (whole ? x.min().reshape({1, 1}) : x.amin({-1}, true)).clamp_max(0);
  const Tensor high =
      (whole ? x.max().reshape({1, 1}) : x.amax({-1}, true)).clamp_min(0);
  const double eps = compressed_epsilon(dtype_of(x.scalar_type()));
  Tensor scale;
  Tensor zero = at::zeros_like(low);
  if (how.symmetric) {
    scale = at::maximum(low.abs(), high) / (how.floating ? kFloat8Max : 127.5);
  } else {
    scale = (high - low) / 255.0;
    // One value for the whole tensor has no dimension in compressed-tensors,
    // and PyTorch keeps its difference from the least code in float32.
    Tensor steps = low / scale;
    if (whole) steps = steps.to(at::kFloat);
    zero = at::where(scale == 0,
                     zero.to(steps.scalar_type()),
                     (-128.0 - steps).clamp(-128.0, 127.0).round());
  }
  return {at::where(scale == 0, eps, scale).to(x.scalar_type()),
          zero.to(x.scalar_type())};
}

Tensor compressed_codes(const Tensor& x,
                        const Tensor& scale,
                        const Tensor& zero_point) {
  Tensor steps = x / scale.to(x.scalar_type());
  if (zero_point.defined()) steps = steps + zero_point.to(x.scalar_type());
  return steps.clamp(-128.0, 127.0).round();
}

Tensor fake_quantize_compressed(const Tensor& x,
                                const CompressedActivations& how,
                                const Tensor& scale,
                                const Tensor& zero_point) {
  check_dtype(kOp, "x", x, {at::kFloat, at::kBFloat16, at::kHalf});
  if (x.numel() == 0) return x;
  const bool groups = how.strategy == ActivationStrategy::Group;
  TORCH_CHECK_VALUE(!groups || x.size(1) % how.group_size == 0,
                    kOp,
                    ": x: expected columns in groups of ",
                    how.group_size,
                    ", got ",
                    x.sizes());
  const Tensor rows = groups ? x.reshape({x.size(0), -1, how.group_size}) : x;
  const c10::ScalarType dtype = x.scalar_type();
  CompressedScale params{
      how.dynamic ? Tensor() : scale.to(dtype),
      how.dynamic || !zero_point.defined() ? Tensor() : zero_point.to(dtype)};
  if (how.dynamic) params = compressed_scale(rows, how);
  if (how.floating) {
    const Tensor codes = (rows / params.scale)
                             .clamp(-kFloat8Max, kFloat8Max)
                             .to(at::kFloat8_e4m3fn);
    return (codes.to(dtype) * params.scale).reshape(x.sizes());
  }
  Tensor codes = compressed_codes(rows, params.scale, params.zero_point);
  if (params.zero_point.defined()) codes = codes - params.zero_point;
  return (codes * params.scale).reshape(x.sizes());
}

Tensor CompressedRounding::operator()(const Tensor& x) const {
  return fake_quantize_compressed(x, how, scale, zero_point);
}

Tensor CompressedRounding::of_parts(const Tensor& x,
                                    std::span<const std::int64_t> ends) const {
  if (!how.dynamic || how.strategy != ActivationStrategy::Tensor) {
    return (*this)(x);
  }
  std::vector<Tensor> parts = {x.narrow(0, 0, 0)};
  std::int64_t begin = 0;
  for (const std::int64_t end : ends) {
    parts.push_back((*this)(x.narrow(0, begin, end - begin)));
    begin = end;
  }
  return at::cat(parts);
}

bool CompressedRounding::same_as(const CompressedRounding& other) const {
  return how.dynamic && other.how.dynamic &&
         how.floating == other.how.floating &&
         how.symmetric == other.how.symmetric &&
         how.strategy == other.how.strategy &&
         how.group_size == other.how.group_size;
}

}  // namespace mantissa
