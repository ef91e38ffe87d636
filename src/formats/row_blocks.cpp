#include "formats/row_blocks.h"

#include <fmt/format.h>

#include <mantissa/core/error.h>

namespace mantissa {

RowBlocks::RowBlocks(const Shape& shape, const Shape& block_size)
    : shape_(shape), block_size_(block_size) {
  for (std::size_t i = 0; i < shape.size(); ++i) {
    grid_.push_back(shape[i] / block_size[i]);
    if (i + 1 < shape.size() && block_size[i] != 1) within_rows_ = false;
  }
}

std::int64_t RowBlocks::blocks() const { return numel(grid_); }

std::int64_t RowBlocks::first_block(std::int64_t matrix,
                                    std::int64_t row) const {
  if (shape_.size() == 1) return 0;
  std::int64_t index = matrix * shape_[shape_.size() - 2] + row;
  std::int64_t block = 0;
  std::int64_t stride = grid_.back();
  for (std::size_t i = shape_.size() - 1; i-- > 0;) {
    block += index % shape_[i] / block_size_[i] * stride;
    index /= shape_[i];
    stride *= grid_[i];
  }
  return block;
}

bool RowBlocks::starts_blocks(std::int64_t matrix, std::int64_t row) const {
  if (shape_.size() == 1) return true;
  std::int64_t index = matrix * shape_[shape_.size() - 2] + row;
  for (std::size_t i = shape_.size() - 1; i-- > 0;) {
    if (index % shape_[i] % block_size_[i] != 0) return false;
    index /= shape_[i];
  }
  return true;
}

BlockCut cut_blocks(std::string_view owner,
                    std::int64_t dim,
                    std::int64_t block,
                    std::int64_t begin,
                    std::int64_t end) {
  if (begin % block == 0 && end % block == 0) {
    return {begin / block, end / block, block};
  }
  if (begin < end && begin / block == (end - 1) / block) {
    return {begin / block, begin / block + 1, end - begin};
  }
  throw Error(ErrorKind::Usage,
              fmt::format("{}: slice: [{}, {}) of dimension {} cuts blocks of "
                          "{}; use multiples of {}",
                          owner,
                          begin,
                          end,
                          dim,
                          block,
                          block));
}

}  // namespace mantissa
