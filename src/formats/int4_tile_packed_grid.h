#pragma once

#include <span>
#include <vector>

#include <mantissa/core/tensor_view.h>

#include "formats/int4_tile_packed_layout.h"

namespace mantissa {

// The fields of an Int4TilePackedTo4dTensor as rows of codes and groups, and
// back.

/// What the tiles of the weight itself hold, value = code * scale + zero.
struct TilePackedGrid {
  HostTensor codes;  ///< int8 from -8 to 7, [matrices * rows, columns]
  HostTensor scale;  ///< bfloat16 [matrices * rows, used groups]
  HostTensor zero;   ///< as scale
};

TilePackedGrid tile_packed_grid(const TilePackedLayout& layout,
                                std::span<const ConstTensorView> fields);

/// What the padding of the tiles holds: where it is the same everywhere, as
/// torchao and the encoder make it, a code (uint8 [1]) and its parameters
/// (bfloat16 [1, 2]); else copies of both fields.
std::vector<HostTensor> tile_packed_padding(
    const TilePackedLayout& layout, std::span<const ConstTensorView> fields);

/// The way back: qdata and scale_and_zero of these shapes.
std::vector<HostTensor> tile_packed_fields(
    const TilePackedLayout& layout,
    const TilePackedGrid& grid,
    const std::vector<HostTensor>& padding,
    std::span<const Shape> shapes);

}  // namespace mantissa
