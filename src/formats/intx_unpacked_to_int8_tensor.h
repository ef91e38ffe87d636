#pragma once

#include <memory>
#include <span>
#include <string_view>

#include <mantissa/formats/intx_unpacked_to_int8_tensor.h>

namespace mantissa {

/// The registry's parse function of IntxUnpackedToInt8Tensor; the zero point
/// may be int8 or floating.
std::shared_ptr<const Encoding> parse_intx_tensor(
    std::string_view attributes, std::span<const FieldLayout> fields);

/// True for an IntxUnpackedToInt8Tensor whose activations are rounded to int8
/// per token.
bool is_intx_with_activations(const Encoding& encoding);

}  // namespace mantissa
