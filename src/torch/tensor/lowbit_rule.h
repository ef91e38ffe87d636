#pragma once

#include <memory>

#include <ATen/core/Tensor.h>

#include <mantissa/torch/int8_compute.h>

#include "formats/lowbit_weight.h"
#include "torch/tensor/product_rule.h"

namespace mantissa {

/// Products of int8 activations with a packed weight.
std::shared_ptr<ProductRule> lowbit_rule(
    const Encoding& encoding,
    std::shared_ptr<const LowbitWeight> weight,
    Int8Compute compute);

/// Rows of a packed weight, [indices, K] float32; `indices` is int64 or int32
/// of any shape; throws c10::IndexError for one outside [0, N).
at::Tensor decode_packed_rows(const LowbitWeight& weight,
                              const at::Tensor& indices);

/// A packed weight with its stored fields; any other as it is.
at::Tensor unpacked_weight(const at::Tensor& weight);

/// A quantized inference weight on the CPU, packed; its refusal where it has no
/// runtime layout ("" for one that has).
std::string packing_refusal(const at::Tensor& weight);
at::Tensor packed_weight(const at::Tensor& weight, Int8Compute compute);

}  // namespace mantissa
