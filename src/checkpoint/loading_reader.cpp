#include "checkpoint/loading_reader.h"

#include <algorithm>

namespace mantissa {

LoadingReader::LoadingReader(const CheckpointSource& source,
                             const LoadingTensor& tensor)
    : source_(source), tensor_(tensor), shape_(matrix_shape(tensor.shape)) {}

std::int64_t LoadingReader::row_bytes(RowForm form) const {
  if (form == RowForm::Delivered) {
    return byte_count(tensor_.dtype, {shape_.columns});
  }
  const SourceTensor& stored = source_.tensors()[tensor_.pieces.front().source];
  const std::int64_t rows = numel(stored.shape) / shape_.columns;
  return rows == 0 ? 0 : stored.stored_bytes / rows;
}

void LoadingReader::read_piece(std::size_t source,
                               std::int64_t row,
                               std::int64_t rows,
                               RowForm form,
                               std::span<std::byte> out) const {
  if (form == RowForm::Delivered) {
    source_.read_rows(source, row, rows, out);
  } else {
    source_.read_stored_rows(source, row, rows, out);
  }
}

void LoadingReader::read(const RowBlock& block,
                         RowForm form,
                         std::span<std::byte> out) const {
  if (tensor_.pieces.size() == 1) {
    read_piece(tensor_.pieces.front().source,
               block.matrix * shape_.rows + block.row,
               block.rows,
               form,
               out);
    return;
  }
  const auto bytes = static_cast<std::size_t>(row_bytes(form));
  for (const Piece& piece : tensor_.pieces) {
    if (piece.matrix != block.matrix) continue;
    const std::int64_t rows =
        matrix_shape(source_.tensors()[piece.source].shape).rows;
    const std::int64_t begin = std::max(block.row, piece.row);
    const std::int64_t end = std::min(block.row + block.rows, piece.row + rows);
    if (begin >= end) continue;
    read_piece(piece.source,
               begin - piece.row,
               end - begin,
               form,
               out.subspan(static_cast<std::size_t>(begin - block.row) * bytes,
                           static_cast<std::size_t>(end - begin) * bytes));
  }
}

std::vector<RowBlock> row_blocks(const MatrixShape& shape,
                                 std::int64_t row_bytes,
                                 std::int64_t row_multiple,
                                 std::int64_t bytes) {
  const std::int64_t wanted =
      std::max<std::int64_t>(1, bytes / std::max<std::int64_t>(1, row_bytes));
  const std::int64_t step =
      (wanted + row_multiple - 1) / row_multiple * row_multiple;
  std::vector<RowBlock> blocks;
  for (std::int64_t matrix = 0; matrix < shape.matrices; ++matrix) {
    for (std::int64_t row = 0; row < shape.rows; row += step) {
      blocks.push_back({matrix, row, std::min(step, shape.rows - row)});
    }
  }
  return blocks;
}

}  // namespace mantissa
