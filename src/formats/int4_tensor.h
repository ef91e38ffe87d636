#pragma once

#include <memory>
#include <span>
#include <string_view>

#include <mantissa/formats/int4_tensor.h>

namespace mantissa {

/// The registry's parse function of Int4Tensor.
std::shared_ptr<const Encoding> parse_int4_tensor(
    std::string_view attributes, std::span<const FieldLayout> fields);

/// True for an Int4Tensor whose activations become float8.
bool is_int4_with_float8_activations(const Encoding& encoding);

}  // namespace mantissa
