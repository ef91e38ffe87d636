#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include <mantissa/checkpoint/source.h>
#include <mantissa/core/tensor_view.h>
#include <mantissa/formats/encoding.h>

#include "checkpoint/loading_reader.h"

namespace mantissa {

/// Rows of one tensor, block by block, in a buffer that is used again.
class BlockReader {
 public:
  /// About this many source bytes are in memory at a time.
  static constexpr std::int64_t kBlockBytes = std::int64_t{1} << 20;

  /// Source and tensor outlive the reader.
  BlockReader(const CheckpointSource& source, const LoadingTensor& tensor)
      : reader_(source, tensor), dtype_(tensor.dtype) {}

  const MatrixShape& shape() const { return reader_.shape(); }

  /// All rows in order, in blocks that start at multiples of `row_multiple`.
  std::vector<RowBlock> blocks(std::int64_t row_multiple) const {
    return row_blocks(reader_.shape(),
                      reader_.row_bytes(RowForm::Delivered),
                      row_multiple,
                      kBlockBytes);
  }

  /// The block in the tensor's dtype, [rows, K]; valid until the next call.
  ConstTensorView delivered(const RowBlock& block) {
    return read(
        block, RowForm::Delivered, rows_, dtype_, reader_.shape().columns);
  }

  /// The block's bytes as stored, [rows, bytes]; valid until the next call.
  ConstTensorView stored(const RowBlock& block) {
    return read(block,
                RowForm::Stored,
                stored_,
                DType::UInt8,
                reader_.row_bytes(RowForm::Stored));
  }

  /// Index in the whole tensor of an element of a block.
  std::int64_t flat_index(const RowBlock& block, std::int64_t element) const {
    const MatrixShape& shape = reader_.shape();
    return (block.matrix * shape.rows + block.row) * shape.columns + element;
  }

 private:
  ConstTensorView read(const RowBlock& block,
                       RowForm form,
                       std::vector<std::byte>& buffer,
                       DType dtype,
                       std::int64_t columns) {
    buffer.resize(
        static_cast<std::size_t>(block.rows * reader_.row_bytes(form)));
    reader_.read(block, form, buffer);
    return {dtype, {block.rows, columns}, buffer.data()};
  }

  LoadingReader reader_;
  DType dtype_;
  std::vector<std::byte> rows_;
  std::vector<std::byte> stored_;
};

}  // namespace mantissa
