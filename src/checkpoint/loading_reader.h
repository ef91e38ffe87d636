#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include <mantissa/checkpoint/source.h>
#include <mantissa/formats/encoding.h>

#include "checkpoint/loading_names.h"

namespace mantissa {

/// Which bytes of a source are wanted.
enum class RowForm {
  Delivered,  ///< in the tensor's dtype (read_rows)
  Stored,     ///< as the file has them (read_stored_rows)
};

/// Reads a tensor by the rows of its loading form, gathering them from the
/// source tensors it is made of. Safe to use from several threads.
class LoadingReader {
 public:
  LoadingReader(const CheckpointSource& source, const LoadingTensor& tensor);

  const MatrixShape& shape() const { return shape_; }
  /// Bytes of one row in a form.
  std::int64_t row_bytes(RowForm form) const;
  /// Fills `out` (exactly block.rows rows) with the rows of the block.
  void read(const RowBlock& block,
            RowForm form,
            std::span<std::byte> out) const;

 private:
  void read_piece(std::size_t source,
                  std::int64_t row,
                  std::int64_t rows,
                  RowForm form,
                  std::span<std::byte> out) const;

  const CheckpointSource& source_;
  const LoadingTensor& tensor_;
  MatrixShape shape_;
};

/// Blocks of about `bytes` bytes that cover all rows of all matrices in order;
/// each starts at a multiple of `row_multiple` rows.
std::vector<RowBlock> row_blocks(const MatrixShape& shape,
                                 std::int64_t row_bytes,
                                 std::int64_t row_multiple,
                                 std::int64_t bytes);

}  // namespace mantissa
