#include <cmath>

#include <ATen/TensorOperators.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/softmax.h>

#include "torch/ops/qscaled_dot_product.h"

namespace mantissa {
namespace {

using at::Tensor;

constexpr double kFloat8Max = 448.0;  // largest e4m3 value

Tensor decoded(const Tensor& codes, double scale, std::int64_t zero) {
  const Tensor wide = codes.to(at::kFloat);
  return (zero == 0 ? wide : wide - zero) * scale;
}

// In float32, the zero point in it.
Tensor encoded(const Tensor& x,
               double scale,
               std::int64_t zero,
               c10::ScalarType dtype) {
  const Tensor steps = x / scale;
  return dtype == at::kByte ? (steps.round() + zero).clamp(0, 255)
                            : steps.clamp(-kFloat8Max, kFloat8Max);
}

}  // namespace

Tensor qscaled_dot_product_by_aten(const Tensor& query,
                                   const Tensor& key,
                                   const Tensor& value,
                                   const QScaledDotProductOptions& options) {
  const c10::ScalarType dtype = query.scalar_type();
  const double scale = options.scale.value_or(
      1.0 / std::sqrt(static_cast<double>(query.size(-1))));
  const Tensor q = decoded(query, options.q_scale, options.q_zp);
  const Tensor k = decoded(key, options.k_scale, options.k_zp);
  const Tensor v = decoded(value, options.v_scale, options.v_zp);
  Tensor scores = at::matmul(q, k.transpose(-2, -1)) * scale;
  if (options.attn_mask) scores = scores + options.attn_mask->to(at::kFloat);
  Tensor codes = encoded(
      at::softmax(scores, -1), options.a_scale, options.a_zp, dtype);
  if (dtype != at::kByte) codes = codes.to(dtype);
  const Tensor out =
      at::matmul(decoded(codes, options.a_scale, options.a_zp), v);
  const Tensor result = encoded(out, options.o_scale, options.o_zp, dtype);
  // NaN has no code of uint8: 0, as a CPU gives, on every device.
  return (dtype == at::kByte ? result.nan_to_num(0.0) : result)
      .to(dtype)
      .transpose(1, 2)
      .contiguous()
      .transpose(1, 2);
}

}  // namespace mantissa
