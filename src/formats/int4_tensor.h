#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include <mantissa/formats/int4_tensor.h>

namespace mantissa {

/// The registry's parse function of Int4Tensor.
std::shared_ptr<const Encoding> parse_int4_tensor(
    std::string_view attributes, std::span<const FieldLayout> fields);

/// What an Int4Tensor remembers.
struct Int4Parameters {
  Int4Spec spec;
  bool act_pre_scale = false;  ///< whether it has the field
};

/// Nothing for another format.
std::optional<Int4Parameters> int4_parameters(const Encoding& encoding);

/// True for an Int4Tensor whose activations become float8.
bool is_int4_with_float8_activations(const Encoding& encoding);

}  // namespace mantissa
