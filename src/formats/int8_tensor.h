#pragma once

#include <memory>
#include <span>
#include <string_view>

#include <mantissa/formats/int8_tensor.h>

namespace mantissa {

/// The registry's parse function of Int8Tensor. Files of torchao <= 0.17 lack
/// zero_point and reduce_range and keep the scale in the weight's dtype.
std::shared_ptr<const Encoding> parse_int8_tensor(
    std::string_view attributes, std::span<const FieldLayout> fields);

/// How an Int8Tensor's activations become int8; null for weights alone and for
/// another format.
const QuantizeTensorToInt8Kwargs* int8_activation(const Encoding& encoding);

}  // namespace mantissa
