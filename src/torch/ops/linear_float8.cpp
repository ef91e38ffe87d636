#include "torch/ops/linear_float8.h"

#include <utility>

#include <ATen/TensorOperators.h>
#include <ATen/ops/_scaled_mm.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>

#include <mantissa/primitives/float8.h>

#include "torch/ops/checks.h"
#include "torch/tensor/host_tensors.h"
#include "torch/tensor/torch_errors.h"

namespace mantissa {
namespace {

using at::Tensor;

constexpr std::int64_t kBlock = 128;

Float8ScaleOptions options_of(const QuantizeTensorToFloat8Kwargs& kwargs) {
  return {.float8_dtype = kwargs.float8_dtype,
          .hp_value_lb = kwargs.hp_value_lb,
          .hp_value_ub = kwargs.hp_value_ub};
}

Float8Rows quantize_on_cpu(const Tensor& x,
                           const Shape& block,
                           const QuantizeTensorToFloat8Kwargs& kwargs) {
  const Tensor rows = x.contiguous();
  return with_torch_errors([&] {
    HostTensor scale =
        choose_scale_float8(host_view(rows), block, options_of(kwargs));
    HostTensor codes = quantize_affine_float8(
        host_view(rows), scale.view(), kwargs.float8_dtype);
    return Float8Rows{from_host(std::move(codes)), from_host(std::move(scale))};
  });
}

Float8Rows quantize_by_aten(const Tensor& x,
                            const Shape& block,
                            const QuantizeTensorToFloat8Kwargs& kwargs) {
  const std::int64_t rows = x.size(0) / block[0];
  const std::int64_t groups = x.size(1) / block[1];
  const Tensor blocks = x.reshape({rows, block[0], groups, block[1]});
  Tensor most = blocks.abs().amax({1, 3}, true);
  if (kwargs.hp_value_lb || kwargs.hp_value_ub) {
    most = most.clamp(
        kwargs.hp_value_lb ? std::optional<c10::Scalar>(*kwargs.hp_value_lb)
                           : std::nullopt,
        kwargs.hp_value_ub ? std::optional<c10::Scalar>(*kwargs.hp_value_ub)
                           : std::nullopt);
  }
  const double max =
      kwargs.float8_dtype == DType::Float8E4M3FN ? 448.0 : 57344.0;
  Tensor scale = (most / max).to(at::kFloat);
  scale = at::where(scale == 0, 0x1p-126, scale).to(at::kFloat);
  const Tensor codes = (blocks.to(at::kFloat) / scale)
                           .clamp(-max, max)
                           .to(scalar_type_of(kwargs.float8_dtype));
  return {codes.reshape(x.sizes()), scale.reshape({rows, groups})};
}

// float32 [M, N]: each block of 128 columns is scaled before it is added.
Tensor blockwise_product(const Float8Rows& x,
                         const Tensor& qdata,
                         const Tensor& scale) {
  const Tensor a = x.codes.to(at::kFloat);
  const Tensor b = qdata.to(at::kFloat);
  const Tensor b_scale = scale.repeat_interleave(kBlock, 0);  // [N, K / 128]
  Tensor sum = at::zeros({a.size(0), b.size(0)}, a.options());
  for (std::int64_t g = 0; g * kBlock < a.size(1); ++g) {
    const Tensor part = at::mm(a.slice(1, g * kBlock, (g + 1) * kBlock),
                               b.slice(1, g * kBlock, (g + 1) * kBlock).t());
    sum += part * x.scale.slice(1, g, g + 1) * b_scale.slice(1, g, g + 1).t();
  }
  return sum;
}

Tensor scaled_mm(const Float8Rows& x,
                 const Tensor& qdata,
                 const Tensor& scale,
                 const Tensor& bias,
                 const Float8MMConfig& config,
                 c10::ScalarType out_dtype) {
  Tensor a = x.codes;
  Tensor b = qdata;
  if (config.pad_inner_dim && a.size(1) % 16 != 0) {
    const std::int64_t more = 16 - a.size(1) % 16;
    const auto padded = [more](const Tensor& t) {
      return at::constant_pad_nd(t.view(at::kByte), {0, more})
          .view(t.scalar_type());
    };
    a = padded(a);
    b = padded(b);
  }
  // _scaled_mm adds no bias to float32.
  const bool apart = out_dtype == at::kFloat && bias.defined();
  const Tensor y = at::_scaled_mm(
      a,
      b.t(),
      x.scale,
      scale.t(),
      bias.defined() && !apart ? std::optional<Tensor>(bias) : std::nullopt,
      std::nullopt,
      out_dtype,
      config.use_fast_accum);
  return apart ? y + bias : y;
}

}  // namespace

Float8Rows quantize_float8_rows(const Tensor& x,
                                const QuantizeTensorToFloat8Kwargs& kwargs) {
  check_dtype("linear_float8", "x", x, {at::kFloat, at::kBFloat16, at::kHalf});
  const Shape block = with_torch_errors(
      [&] { return block_size(kwargs.granularity, shape_of(x)); });
  return x.is_cpu() ? quantize_on_cpu(x, block, kwargs)
                    : quantize_by_aten(x, block, kwargs);
}

Tensor linear_float8(const Tensor& x,
                     const Tensor& qdata,
                     const Tensor& scale,
                     const Tensor& bias,
                     const QuantizeTensorToFloat8Kwargs& kwargs,
                     const Float8MMConfig& mm_config) {
  check_last_dim("linear_float8", "x", x, qdata.size(1), "in_features");
  if (x.size(0) == 0) {
    return at::zeros({0, qdata.size(0)}, x.options());
  }
  const Float8Rows rows = quantize_float8_rows(x, kwargs);
  const bool one = rows.scale.numel() == 1 && scale.numel() == 1;
  const bool by_rows = rows.scale.size(1) == 1 && scale.dim() == 2 &&
                       scale.size(0) == qdata.size(0) && scale.size(1) == 1;
  if (one || (by_rows && x.is_cuda())) {
    return scaled_mm(rows, qdata, scale, bias, mm_config, x.scalar_type());
  }
  Tensor y = by_rows
                 ? at::mm(rows.codes.to(at::kFloat), qdata.to(at::kFloat).t()) *
                       rows.scale * scale.t()
                 : blockwise_product(rows, qdata, scale);
  if (bias.defined()) y += bias;
  return y.to(x.scalar_type());
}

}  // namespace mantissa
