#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include <mantissa/core/dtype.h>

namespace mantissa {

/// A tensor seen as blocks that share a scale: which block an element is in.
/// Blocks are numbered in row-major order of the grid shape / block_size.
class BlockGrid {
 public:
  /// Throws Error(Usage), naming `op`, when the ranks differ or an extent is
  /// not a multiple of its block.
  BlockGrid(std::string_view op, const Shape& shape, const Shape& block_size);

  const Shape& grid() const { return grid_; }
  std::int64_t blocks() const { return blocks_; }
  std::int64_t elements() const { return elements_; }
  /// The grid without dimensions that one block spans.
  Shape squeezed() const;
  /// Block of the element with this row-major index.
  std::int64_t block_of(std::int64_t element) const;

 private:
  Shape shape_;
  Shape block_size_;
  Shape grid_;
  std::int64_t blocks_ = 1;
  std::int64_t elements_ = 1;
};

}  // namespace mantissa
