#include "primitives/row_grid.h"

#include <string>

#include <mantissa/core/error.h>
#include <mantissa/core/tensor_view.h>

namespace mantissa {

std::int64_t RowGrid::grid_row(std::int64_t row) const {
  std::int64_t out = 0;
  std::int64_t stride = 1;
  for (std::size_t d = shape.size(); d-- > 1;) {
    out += row % shape[d - 1] / block[d - 1] * stride;
    row /= shape[d - 1];
    stride *= grid[d - 1];
  }
  return out;
}

bool RowGrid::starts_block(std::int64_t row) const {
  for (std::size_t d = shape.size(); d-- > 1;) {
    if (row % shape[d - 1] % block[d - 1] != 0) return false;
    row /= shape[d - 1];
  }
  return true;
}

RowGrid make_row_grid(std::string_view owner,
                      const Shape& shape,
                      const Shape& block) {
  bool fits = block.size() == shape.size();
  for (std::size_t d = 0; fits && d < shape.size(); ++d) {
    fits = block[d] >= 1 && shape[d] % block[d] == 0;
  }
  if (!fits) {
    throw Error(ErrorKind::Usage,
                std::string(owner) + ": block_size: expected one positive " +
                    "divisor for each dimension of " + to_string(shape) +
                    ", got " + to_string(block));
  }
  RowGrid out{shape, block, {}};
  for (std::size_t d = 0; d < shape.size(); ++d) {
    out.grid.push_back(shape[d] / block[d]);
    if (d + 1 < shape.size()) out.rows *= shape[d];
  }
  if (!shape.empty()) {
    out.columns = shape.back();
    out.run = block.back();
    out.runs = out.grid.back();
  }
  return out;
}

RowGrid row_grid_of_scale(std::string_view owner,
                          const Shape& shape,
                          const Shape& scale_shape) {
  if (numel(scale_shape) == 1 && numel(shape) > 0) {
    return make_row_grid(owner, shape, shape);
  }
  Shape block;
  bool fits = scale_shape.size() == shape.size();
  for (std::size_t d = 0; fits && d < shape.size(); ++d) {
    fits = scale_shape[d] >= 1 && shape[d] % scale_shape[d] == 0;
    if (fits) block.push_back(shape[d] / scale_shape[d]);
  }
  if (!fits) {
    throw Error(ErrorKind::Usage,
                std::string(owner) + ": scale: expected one element, or " +
                    "extents that divide " + to_string(shape) + ", got shape " +
                    to_string(scale_shape));
  }
  return make_row_grid(owner, shape, block);
}

}  // namespace mantissa
