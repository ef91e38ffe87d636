#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <mantissa/core/dtype.h>
#include <mantissa/core/tensor_view.h>

namespace mantissa {

/// One stored field of an encoded tensor: name ("qdata"), dtype and shape.
struct FieldLayout {
  std::string name;
  DType dtype;
  Shape shape;
};

/// Rows [row, row + rows) of matrix `matrix`, where a weight [.., N, K] is seen
/// as numel / (N * K) matrices of N rows and K columns. A 1-D tensor is one
/// matrix of one row.
struct RowBlock {
  std::int64_t matrix = 0;
  std::int64_t row = 0;
  std::int64_t rows = 0;
};

/// Where an encoder puts its bytes: a buffer, or a file with fixed offsets.
/// Implementations are safe to call from several threads for distinct bytes.
class FieldSink {
 public:
  virtual ~FieldSink() = default;

  /// `bytes` at byte `offset` of field `field` (index in Encoding::fields()).
  virtual void write(std::size_t field,
                     std::int64_t offset,
                     std::span<const std::byte> bytes) = 0;

  /// bytes.size() / run_bytes runs, run i at `offset + i * stride`: how a block
  /// of rows lands in a transposed field.
  void write_runs(std::size_t field,
                  std::int64_t offset,
                  std::int64_t run_bytes,
                  std::int64_t stride,
                  std::span<const std::byte> bytes);
};

/// Encodes one tensor block by block, so that memory does not grow with it.
/// Life: while wants_pass(), every block goes through observe() in order and
/// end_pass() closes the round; then every block goes through encode(), in any
/// order and from any thread. All blocks hold rows of one matrix.
class Encoder {
 public:
  virtual ~Encoder() = default;

  /// Blocks start at a multiple of this many rows of their matrix, and only the
  /// last block of a matrix may be shorter.
  virtual std::int64_t row_multiple() const { return 1; }
  /// True while statistics over the whole tensor are missing.
  virtual bool wants_pass() const { return false; }
  /// Takes the rows [rows, K] (dtype of the encoding) into the statistics.
  virtual void observe(const RowBlock& block, ConstTensorView rows);
  /// Ends a round of observe().
  virtual void end_pass() {}
  /// Encodes the rows [rows, K] and writes every field's share of them.
  virtual void encode(const RowBlock& block,
                      ConstTensorView rows,
                      FieldSink& sink) const = 0;
};

struct EncodedTensor;
class Encoding;

/// Bytes of one field: `count` runs of `bytes` each, run i at `offset + i *
/// stride`.
struct FieldRuns {
  std::int64_t offset = 0;
  std::int64_t bytes = 0;
  std::int64_t count = 1;
  std::int64_t stride = 0;
};

/// Rows of an encoded tensor as an encoded tensor of their own: encoding of
/// [rows, K] and, for each of its fields, where its bytes stand in the field of
/// the whole tensor.
struct EncodedRows {
  std::shared_ptr<const Encoding> encoding;
  std::vector<FieldRuns> fields;
};

/// "This format, with these parameters, for a tensor of this shape and dtype".
/// Immutable and complete: fields, sizes and metadata follow without any data,
/// so a plan can fix every byte offset before it reads a weight.
class Encoding {
 public:
  Encoding(Shape shape, DType dtype)
      : shape_(std::move(shape)), dtype_(dtype) {}
  virtual ~Encoding() = default;

  /// Logical shape [N, K] or [E, N, K].
  const Shape& shape() const { return shape_; }
  /// Logical (high-precision) dtype.
  DType dtype() const { return dtype_; }

  /// torchao's class name: "Int8Tensor".
  virtual std::string_view format_name() const = 0;
  /// Present fields in constructor order: required first, then optional.
  virtual std::vector<FieldLayout> fields() const = 0;
  /// How many of fields() are required; the rest is optional.
  virtual std::size_t required_fields() const { return fields().size(); }
  /// The `_data` object of torchao's metadata entry, as JSON text in torchao's
  /// order (optional attributes first, then required) and spacing (", ", ": ").
  virtual std::string attributes_json() const = 0;
  /// A fresh encoder. The encoding outlives it.
  virtual std::unique_ptr<Encoder> make_encoder() const = 0;
  /// Bytes that an encoder keeps of the whole tensor between its passes, at
  /// most: a scale for each group (HQQ: a zero point too). 0 where a block of
  /// rows is encoded by itself.
  virtual std::int64_t pass_bytes() const { return 0; }
  /// The whole tensor in the logical dtype; the fields match fields().
  virtual HostTensor decode(std::span<const ConstTensorView> fields) const = 0;
  /// Rows [begin, end) of dimension `dim` as a tensor of its own. Throws
  /// Error(Usage) when a cut falls inside a scale block.
  virtual EncodedTensor slice(std::span<const ConstTensorView> fields,
                              std::int64_t dim,
                              std::int64_t begin,
                              std::int64_t end) const = 0;
  /// Index `index` of dimension 0 of a 3-D tensor. Throws Error(Usage) when the
  /// tensor is 2-D or the index is outside.
  virtual EncodedTensor select(std::span<const ConstTensorView> fields,
                               std::int64_t index) const = 0;
  /// Rows of one matrix by themselves, so that a tensor of any size can be read
  /// back block by block. The block starts at a multiple of row_unit() rows and
  /// ends at one or at the end of the matrix; throws Error(Usage) otherwise.
  virtual EncodedRows rows(const RowBlock& block) const = 0;
  virtual std::int64_t row_unit() const { return 1; }
  /// Empty when the values obey the format (finite scales, codes in range);
  /// otherwise what is wrong, naming field and index.
  virtual std::string check_values(
      std::span<const ConstTensorView> fields) const;

 private:
  Shape shape_;
  DType dtype_;
};

/// An encoding together with its fields.
struct EncodedTensor {
  std::shared_ptr<const Encoding> encoding;
  std::vector<HostTensor> fields;  ///< in the order of encoding->fields()

  std::vector<ConstTensorView> views() const;
  HostTensor decode() const { return encoding->decode(views()); }
};

/// Encodes a whole tensor that is in memory. Throws Error(Usage) when shape or
/// dtype differ from the encoding's.
EncodedTensor encode(std::shared_ptr<const Encoding> encoding,
                     ConstTensorView weight);

/// Bytes of all fields.
std::int64_t stored_bytes(const Encoding& encoding);

/// Matrices, rows and columns of a shape as RowBlock counts them.
struct MatrixShape {
  std::int64_t matrices;
  std::int64_t rows;
  std::int64_t columns;
};
MatrixShape matrix_shape(const Shape& shape);

}  // namespace mantissa
