#include "checkpoint/logical_checkpoint.h"

#include <algorithm>
#include <cctype>
#include <utility>

#include <fmt/format.h>

#include <mantissa/core/error.h>
#include <mantissa/core/tensor_view.h>
#include <mantissa/primitives/convert.h>

#include "checkpoint/loading_names.h"
#include "core/quoted.h"

namespace mantissa {
namespace {

bool is_quantized_type(const SourceTensor& tensor) {
  return !dtype_from_safetensors(tensor.stored_type).has_value();
}

void widen(ConstTensorView from, std::span<double> out) {
  convert(
      from,
      {DType::Float64, from.shape, reinterpret_cast<std::byte*>(out.data())});
}

/// Plain tensors and GGUF blocks: each piece is read when it is asked for.
class PieceReader final : public RowReader {
 public:
  PieceReader(const CheckpointSource& source, const LogicalTensor& tensor)
      : source_(source),
        tensor_(tensor),
        width_(row_shape(tensor.shape).width) {}

  void read(std::int64_t row,
            std::int64_t rows,
            std::span<double> out) const override {
    for (const RowPiece& piece : tensor_.pieces) {
      const SourceTensor& stored = source_.tensors()[piece.source];
      const std::int64_t begin = std::max(row, piece.row);
      const std::int64_t end =
          std::min(row + rows, piece.row + row_shape(stored.shape).rows);
      if (begin >= end) continue;
      HostTensor block(stored.dtype, {end - begin, width_});
      source_.read_rows(piece.source,
                        begin - piece.row,
                        end - begin,
                        block.mutable_view().bytes());
      widen(block.view(),
            out.subspan(static_cast<std::size_t>((begin - row) * width_),
                        static_cast<std::size_t>((end - begin) * width_)));
    }
  }

 private:
  const CheckpointSource& source_;
  const LogicalTensor& tensor_;
  std::int64_t width_;
};

/// Encoded tensors: decoded whole, once.
class DecodedReader final : public RowReader {
 public:
  explicit DecodedReader(HostTensor values) : values_(std::move(values)) {}

  void read(std::int64_t row,
            std::int64_t rows,
            std::span<double> out) const override {
    const std::int64_t width = row_shape(values_.shape()).width;
    const std::int64_t row_bytes = byte_count(values_.dtype(), {width});
    widen({values_.dtype(), {rows, width}, values_.data() + row * row_bytes},
          out);
  }

 private:
  HostTensor values_;
};

bool is_digit(char c) {
  return std::isdigit(static_cast<unsigned char>(c)) != 0;
}

// The run of digits at `at`, without leading zeros.
std::string_view digits_at(std::string_view text, std::size_t& at) {
  const std::size_t begin = at;
  while (at < text.size() && is_digit(text[at])) ++at;
  std::string_view digits = text.substr(begin, at - begin);
  digits.remove_prefix(std::min(digits.find_first_not_of('0'), digits.size()));
  return digits;
}

}  // namespace

RowShape row_shape(const Shape& shape) {
  if (shape.empty()) return {1, 1};
  std::int64_t rows = 1;
  if (shape.back() == 0) return {0, 0};
  for (std::size_t i = 0; i + 1 < shape.size(); ++i) rows *= shape[i];
  return {rows, shape.back()};
}

bool natural_less(std::string_view a, std::string_view b) {
  std::size_t i = 0;
  std::size_t j = 0;
  while (i < a.size() && j < b.size()) {
    if (is_digit(a[i]) && is_digit(b[j])) {
      const std::string_view x = digits_at(a, i);
      const std::string_view y = digits_at(b, j);
      if (x.size() != y.size()) return x.size() < y.size();
      if (x != y) return x < y;
    } else if (a[i] != b[j]) {
      return static_cast<unsigned char>(a[i]) <
             static_cast<unsigned char>(b[j]);
    } else {
      ++i;
      ++j;
    }
  }
  if (a.size() - i != b.size() - j) return a.size() - i < b.size() - j;
  return a < b;
}

LogicalCheckpoint::LogicalCheckpoint(const CheckpointSource& source,
                                     TensorNames names)
    : source_(source), dialect_(dialect_of(source)) {
  if (dialect_ != nullptr) {
    quantized_ = dialect_->open(source);
    add_quantized();
  } else {
    add_plain(names);
  }
  std::ranges::sort(tensors_, natural_less, &LogicalTensor::name);
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    by_name_[tensors_[i].name] = i;
  }
}

LogicalTensor LogicalCheckpoint::plain_tensor(std::size_t index) const {
  const SourceTensor& stored = source_.tensors()[index];
  return {.name = stored.name,
          .stored = stored.stored_type,
          .dtype = stored.dtype,
          .shape = stored.shape,
          .bytes = stored.stored_bytes,
          .quantized = is_quantized_type(stored),
          .tied = false,
          .pieces = {{index, 0}},
          .encoding = nullptr};
}

void LogicalCheckpoint::add_quantized() {
  for (const DialectTensor& tensor : quantized_->tensors()) {
    LogicalTensor logical = plain_tensor(tensor.parts[0]);
    if (!tensor.plain()) {
      logical.name = tensor.name;
      logical.stored = tensor.type;
      logical.quantized = true;
      logical.encoding = tensor.encoding;
      logical.bytes = 0;
      logical.pieces.clear();
      for (const std::size_t part : tensor.parts) {
        logical.bytes += source_.tensors()[part].stored_bytes;
        logical.pieces.push_back({part, 0});
      }
      if (tensor.encoding != nullptr) {
        logical.dtype = tensor.encoding->dtype();
        logical.shape = tensor.encoding->shape();
      }
    }
    tensors_.push_back(std::move(logical));
  }
  for (const std::size_t index : quantized_->leftovers()) {
    tensors_.push_back(plain_tensor(index));
  }
}

void LogicalCheckpoint::add_plain(TensorNames names) {
  if (names == TensorNames::Stored) {
    for (std::size_t i = 0; i < source_.tensors().size(); ++i) {
      tensors_.push_back(plain_tensor(i));
    }
    return;
  }
  for (const LoadingTensor& loading : loading_names(source_).tensors) {
    if (loading.pieces.empty()) continue;
    LogicalTensor logical = plain_tensor(loading.pieces[0].source);
    logical.name = loading.name;
    logical.shape = loading.shape;
    logical.tied = loading.tied;
    logical.bytes = 0;
    logical.pieces.clear();
    const std::int64_t rows = matrix_shape(loading.shape).rows;
    for (const Piece& piece : loading.pieces) {
      if (!loading.tied) {
        logical.bytes += source_.tensors()[piece.source].stored_bytes;
      }
      logical.pieces.push_back({piece.source, piece.matrix * rows + piece.row});
    }
    tensors_.push_back(std::move(logical));
  }
}

const LogicalTensor* LogicalCheckpoint::find(std::string_view name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : &tensors_[found->second];
}

std::unique_ptr<RowReader> LogicalCheckpoint::reader(
    const LogicalTensor& tensor) const {
  if (tensor.dtype == DType::Complex64) {
    throw Error(ErrorKind::Usage,
                fmt::format("tensor {}: complex numbers are not compared",
                            quoted_name(tensor.name)));
  }
  const DialectTensor* stored =
      quantized_ ? quantized_->find(tensor.name) : nullptr;
  if (stored != nullptr && !stored->plain()) {
    return std::make_unique<DecodedReader>(
        quantized_->load(tensor.name).decode());
  }
  return std::make_unique<PieceReader>(source_, tensor);
}

}  // namespace mantissa
