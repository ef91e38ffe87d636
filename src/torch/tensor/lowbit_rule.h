#pragma once

#include <memory>
#include <string>

#include <ATen/core/Tensor.h>
#include <c10/core/ScalarType.h>

#include <mantissa/torch/int8_compute.h>

#include "formats/lowbit_weight.h"
#include "torch/tensor/product_rule.h"

namespace mantissa {

/// A packed weight with its stored fields; any other as it is.
at::Tensor unpacked_weight(const at::Tensor& weight);

/// Whether a matrix' config names int8 activations with a scale each row or
/// one, so that codes multiply codes.
bool names_int8_rows(const Encoding& matrix);

/// What packing_refusal() says of a weight of this encoding.
std::string packing_refusal(const Encoding& encoding, Int8Compute compute);

/// QuantizedWeight::activations of a matrix that is packed, in a model whose
/// other activations are of `dtype`.
std::string activations_of(const Encoding& encoding,
                           Int8Compute compute,
                           c10::ScalarType dtype);

/// Why a weight does not become a packed one: it is no quantized inference
/// weight on the CPU, has no runtime layout, or its config names activations
/// that `compute` is not; "" where it does.
std::string packing_refusal(const at::Tensor& weight, Int8Compute compute);
/// A weight without a refusal, packed: for products with activations quantized
/// as `compute` says, or as the weight's config does.
at::Tensor packed_weight(const at::Tensor& weight, Int8Compute compute);

}  // namespace mantissa
