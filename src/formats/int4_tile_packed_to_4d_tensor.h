#pragma once

#include <memory>
#include <span>
#include <string_view>

#include <mantissa/formats/int4_tile_packed_to_4d_tensor.h>

namespace mantissa {

/// The registry's parse function of Int4TilePackedTo4dTensor.
std::shared_ptr<const Encoding> parse_int4_tile_packed(
    std::string_view attributes, std::span<const FieldLayout> fields);

}  // namespace mantissa
