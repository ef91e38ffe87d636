#pragma once

#include <cstdint>
#include <string_view>

#include <mantissa/core/dtype.h>

namespace mantissa {

/// A dense tensor cut into equal blocks, seen row by row: a row is everything
/// along the last dimension and holds `runs` runs of `run` elements, each in a
/// block of its own.
struct RowGrid {
  Shape shape;
  Shape block;
  Shape grid;  ///< shape / block: one element for each block
  std::int64_t rows = 1;
  std::int64_t columns = 1;
  std::int64_t run = 1;
  std::int64_t runs = 1;

  /// The row of `grid` (`runs` elements) that belongs to row `row`.
  std::int64_t grid_row(std::int64_t row) const;
  /// True for the first row of its blocks.
  bool starts_block(std::int64_t row) const;
};

/// Throws Error(Usage), led by `owner`, unless `block` has the rank of `shape`
/// and each extent of it is positive and divides.
RowGrid make_row_grid(std::string_view owner,
                      const Shape& shape,
                      const Shape& block);

/// The grid whose blocks have one element each in a tensor of shape `grid`;
/// one-element tensors fit every shape. Throws as make_row_grid().
RowGrid row_grid_of_scale(std::string_view owner,
                          const Shape& shape,
                          const Shape& scale_shape);

}  // namespace mantissa
