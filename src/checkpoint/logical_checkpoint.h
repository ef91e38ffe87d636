#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <mantissa/checkpoint/source.h>
#include <mantissa/formats/encoding.h>

#include "checkpoint/dialects/dialect.h"

namespace mantissa {

/// Rows of one source tensor inside a logical tensor.
struct RowPiece {
  std::size_t source;  ///< index in CheckpointSource::tensors()
  std::int64_t row;    ///< first row in the logical tensor seen as rows
};

/// A tensor as its user sees it, whatever it is stored as.
struct LogicalTensor {
  std::string name;
  std::string stored;            ///< "BF16", "Q4_1", "Int8Tensor"
  DType dtype = DType::Float32;  ///< of its values
  Shape shape;
  std::int64_t bytes = 0;  ///< all stored parts
  bool quantized = false;
  bool tied = false;  ///< not in the file: an lm_head tied to the embedding
  std::vector<RowPiece> pieces;  ///< parts of an encoding: in fields() order
  std::shared_ptr<const Encoding> encoding;  ///< null when plain
};

/// Reads a logical tensor as [rows(), width()] in float64.
class RowReader {
 public:
  virtual ~RowReader() = default;
  virtual void read(std::int64_t row,
                    std::int64_t rows,
                    std::span<double> out) const = 0;
};

/// Which names logical_tensors() uses for tensors that are not quantized.
enum class TensorNames {
  Stored,   ///< as in the file
  Loading,  ///< of the class that loads them, fused where that class fuses
};

/// The logical tensors of any checkpoint, in natural name order ("2" before
/// "10"): decoded from a dialect's fields, GGUF blocks or plain bytes.
class LogicalCheckpoint {
 public:
  /// The source outlives the object. Throws Error(Input) when the
  /// dialect's metadata cannot be read at all; single tensors that are
  /// malformed are in quantized()->problems() and have no values.
  LogicalCheckpoint(const CheckpointSource& source, TensorNames names);

  const CheckpointSource& source() const { return source_; }
  const std::vector<LogicalTensor>& tensors() const { return tensors_; }
  /// What recognized the source; null for plain tensors and GGUF.
  const Dialect* dialect() const { return dialect_; }
  /// The dialect's view of the source; null without a dialect.
  const DialectCheckpoint* quantized() const { return quantized_.get(); }
  const LogicalTensor* find(std::string_view name) const;

  /// Throws Error(Input) when the tensor is malformed, Error(Usage) when its
  /// dtype has no numbers (complex).
  std::unique_ptr<RowReader> reader(const LogicalTensor& tensor) const;

 private:
  void add_quantized();
  void add_plain(TensorNames names);
  LogicalTensor plain_tensor(std::size_t index) const;

  const CheckpointSource& source_;
  const Dialect* dialect_ = nullptr;
  std::unique_ptr<DialectCheckpoint> quantized_;
  std::vector<LogicalTensor> tensors_;
  std::unordered_map<std::string_view, std::size_t> by_name_;
};

/// Rows and columns of a shape as readers count them: [numel / last, last].
struct RowShape {
  std::int64_t rows;
  std::int64_t width;
};
RowShape row_shape(const Shape& shape);

/// Calls visit(row, values) for blocks of rows of at most about a MB.
template <class Visit>
void for_each_row_block(const Shape& shape, const Visit& visit) {
  constexpr std::int64_t kElements = 1 << 17;
  const RowShape rows = row_shape(shape);
  if (rows.width == 0) return;
  std::int64_t step = kElements / rows.width > 0 ? kElements / rows.width : 1;
  if (step > 8) step -= step % 8;  // packed rows begin at whole bytes
  for (std::int64_t row = 0; row < rows.rows; row += step) {
    visit(row, row + step < rows.rows ? step : rows.rows - row);
  }
}

/// True when `a` comes before `b`, digits compared as numbers.
bool natural_less(std::string_view a, std::string_view b);

}  // namespace mantissa
