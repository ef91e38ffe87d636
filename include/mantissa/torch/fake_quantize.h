#pragma once

#include <memory>

#include <ATen/core/Tensor.h>

#include <mantissa/core/api.h>
#include <mantissa/formats/encoding.h>

namespace mantissa {

/// A training weight whose products use its quantized values: it shares the
/// memory of `weight` (plain, [N, K], of the encoding's shape and dtype),
/// requires a gradient, and optimizers update it in place. Forward:
/// x * decode(encode(w))^T + bias. Backward: dx = g * decode(encode(w)), and
/// dw = g^T * x passes straight through the rounding (Bengio et al. 2013,
/// arXiv:1308.3432). Throws c10::ValueError for another shape or dtype.
MANTISSA_API at::Tensor fake_quantized_tensor(
    const at::Tensor& weight, const std::shared_ptr<const Encoding>& encoding);

}  // namespace mantissa
