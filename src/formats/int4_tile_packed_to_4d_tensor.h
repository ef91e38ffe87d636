#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include <mantissa/formats/int4_tile_packed_to_4d_tensor.h>

#include "formats/int4_tile_packed_layout.h"

namespace mantissa {

/// The registry's parse function of Int4TilePackedTo4dTensor.
std::shared_ptr<const Encoding> parse_int4_tile_packed(
    std::string_view attributes, std::span<const FieldLayout> fields);

/// What an Int4TilePackedTo4dTensor remembers.
struct TilePackedParameters {
  TilePackedLayout layout;
  bool act_pre_scale = false;  ///< whether it has the field
};

/// Nothing for another format.
std::optional<TilePackedParameters> tile_packed_parameters(
    const Encoding& encoding);

}  // namespace mantissa
