#include "primitives/block_grid.h"

#include <fmt/format.h>

#include <mantissa/core/error.h>
#include <mantissa/core/tensor_view.h>

namespace mantissa {

BlockGrid::BlockGrid(std::string_view op,
                     const Shape& shape,
                     const Shape& block_size)
    : shape_(shape), block_size_(block_size), elements_(numel(shape)) {
  bool fits = shape.size() == block_size.size();
  for (std::size_t i = 0; fits && i < shape.size(); ++i) {
    const std::int64_t block = block_size[i];
    // A block of 0 is the whole of an empty dimension.
    fits = block == shape[i] || (block > 0 && shape[i] % block == 0);
    if (fits) grid_.push_back(block == 0 ? 1 : shape[i] / block);
  }
  if (!fits) {
    throw Error(ErrorKind::Usage,
                fmt::format("{}: block_size: expected one divisor for each "
                            "extent of {}, got {}",
                            op,
                            to_string(shape),
                            to_string(block_size)));
  }
  blocks_ = numel(grid_);
}

Shape BlockGrid::squeezed() const {
  Shape out;
  for (std::size_t i = 0; i < grid_.size(); ++i) {
    // torchao reduces a dimension away unless its blocks have extent 1.
    if (grid_[i] != 1 || block_size_[i] == 1) out.push_back(grid_[i]);
  }
  return out;
}

std::int64_t BlockGrid::block_of(std::int64_t element) const {
  std::int64_t block = 0;
  std::int64_t stride = 1;
  for (std::size_t i = shape_.size(); i-- > 0;) {
    block += element % shape_[i] / block_size_[i] * stride;
    element /= shape_[i];
    stride *= grid_[i];
  }
  return block;
}

}  // namespace mantissa
