#pragma once

#include <cstdint>

#include <mantissa/core/enums.h>
#include <mantissa/core/tensor_view.h>
#include <mantissa/formats/encoding.h>

namespace mantissa {

constexpr int kTileInnerKTiles = 8;         // fixed in torchao's class
constexpr std::int64_t kTileColumns = 128;  // 16 * kTileInnerKTiles
constexpr std::int64_t kTileKMultiple = 1024;

/// Extents of a tile-packed weight of `matrices` matrices [rows, columns].
struct TilePackedLayout {
  std::int64_t matrices;
  std::int64_t rows;            ///< N
  std::int64_t columns;         ///< K
  std::int64_t padded_rows;     ///< N', a multiple of 8 or 16
  std::int64_t padded_columns;  ///< K', a multiple of 1024
  std::int64_t group_size;

  std::int64_t groups() const { return padded_columns / group_size; }
  /// Groups that hold at least one column of the weight.
  std::int64_t used_groups() const {
    return (columns + group_size - 1) / group_size;
  }
  /// Columns of the tiles that hold one of the weight's; what follows in a row
  /// of tiles is padding alone.
  std::int64_t spanned_columns() const {
    return (columns + kTileColumns - 1) / kTileColumns * kTileColumns;
  }
  /// Bytes of `rows` rows of qdata.
  std::int64_t qdata_bytes(std::int64_t rows) const {
    return rows * padded_columns / 2;
  }
};

/// Scale and zero of one group as bfloat16 bits, in the order of the file.
struct ScaleAndZero {
  std::uint16_t scale;
  std::uint16_t zero;
};

/// What padding holds: the parameters of a group of zeros, with code 0.
ScaleAndZero tile_padding(Int4ChooseQParamsAlgorithm algorithm);

/// What the encoder keeps between its passes (Encoding::pass_bytes()).
std::int64_t tile_packed_pass_bytes(const TilePackedLayout& layout,
                                    Int4ChooseQParamsAlgorithm algorithm);

/// An encoder for a bfloat16 weight of this shape; K padded, N padded with the
/// last block.
std::unique_ptr<Encoder> make_tile_packed_encoder(
    const Shape& shape,
    const TilePackedLayout& layout,
    Int4ChooseQParamsAlgorithm algorithm);

}  // namespace mantissa
