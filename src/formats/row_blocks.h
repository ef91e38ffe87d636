#pragma once

#include <cstdint>

#include <mantissa/core/dtype.h>
#include <mantissa/formats/encoding.h>

namespace mantissa {

/// A weight cut into scale blocks, as its rows see them: each row of K columns
/// is a run of groups, and group g of a row belongs to block first_block() + g.
class RowBlocks {
 public:
  /// Ranks are equal and at least 1, every block extent is positive and divides
  /// its extent.
  RowBlocks(const Shape& shape, const Shape& block_size);

  /// shape / block_size: the shape of a scale.
  const Shape& grid() const { return grid_; }
  std::int64_t blocks() const;
  /// Columns of a group and groups of a row.
  std::int64_t group() const { return block_size_.back(); }
  std::int64_t groups() const { return grid_.back(); }
  /// True when no block reaches over several rows.
  bool within_rows() const { return within_rows_; }
  /// Block of the first group of a row.
  std::int64_t first_block(std::int64_t matrix, std::int64_t row) const;
  /// True if the row is the first of the blocks that it belongs to.
  bool starts_blocks(std::int64_t matrix, std::int64_t row) const;

 private:
  Shape shape_;
  Shape block_size_;
  Shape grid_;
  bool within_rows_ = true;
};

/// One dimension of a slice, in elements and in blocks.
struct BlockCut {
  std::int64_t first_block;
  std::int64_t last_block;  ///< one past
  std::int64_t block;       ///< extent of a block of the result
};

/// [begin, end) of a dimension with blocks of `block`: whole blocks, or a part
/// of one. Throws Error(Usage) naming `owner` otherwise.
BlockCut cut_blocks(std::string_view owner,
                    std::int64_t dim,
                    std::int64_t block,
                    std::int64_t begin,
                    std::int64_t end);

}  // namespace mantissa
