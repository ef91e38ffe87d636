#include "checkpoint/carried_codes.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include <fmt/format.h>

#include <mantissa/core/error.h>
#include <mantissa/primitives/affine.h>

#include "core/quoted.h"
#include "formats/affine_encoding.h"
#include "formats/compressed_tensor.h"
#include "formats/fields.h"
#include "primitives/elements.h"

namespace mantissa {
namespace {

// The runs of one field, from the rows of the source tensor that hold them.
void read_runs(const CheckpointSource& source,
               std::size_t part,
               const FieldRuns& runs,
               std::byte* out) {
  const SourceTensor& stored = source.tensors()[part];
  const std::int64_t width = byte_count(
      stored.dtype, {stored.shape.empty() ? 1 : stored.shape.back()});
  if (width == 0 || runs.bytes == 0) return;
  for (std::int64_t i = 0; i < runs.count; ++i) {
    const std::int64_t begin = runs.offset + i * runs.stride;
    const std::int64_t first = begin / width;
    const std::int64_t last = (begin + runs.bytes + width - 1) / width;
    std::vector<std::byte> rows(
        static_cast<std::size_t>((last - first) * width));
    source.read_rows(part, first, last - first, rows);
    std::memcpy(out + i * runs.bytes,
                rows.data() + (begin - first * width),
                static_cast<std::size_t>(runs.bytes));
  }
}

// The fields that every affine or float8 format has, in torchao's form.
struct Codes {
  HostTensor codes;       ///< [rows, K]
  HostTensor scale;       ///< its own dtype
  HostTensor zero_point;  ///< int8, like scale; empty if there is none
};

// Null unless the format is one of codes, scales and integer zero points.
const Encoding* grid_format(const Encoding& encoding) {
  const auto* affine = dynamic_cast<const AffineEncoding*>(&encoding);
  if (affine != nullptr) {
    const DType zero = affine->layout().zero_point_dtype.value_or(DType::Int8);
    return zero == DType::Int8 && affine->layout().extra.empty() ? &encoding
                                                                 : nullptr;
  }
  const bool known =
      encoding.format_name() == "Float8Tensor" ||
      dynamic_cast<const CompressedEncoding*>(&encoding) != nullptr;
  return known ? &encoding : nullptr;
}

Codes codes_of(const EncodedTensor& part) {
  const std::vector<ConstTensorView> fields = part.views();
  if (const auto* compressed =
          dynamic_cast<const CompressedEncoding*>(part.encoding.get())) {
    return {compressed->codes(fields),
            part.fields[CompressedFields::kScale],
            compressed->zero_points(fields)};
  }
  Codes out{part.fields[0], part.fields[1], {}};
  if (const auto zero = fields::index(*part.encoding, "zero_point")) {
    out.zero_point = part.fields[*zero];
  }
  return out;
}

// Scales of torchao's shape [.., rows of scales, G] or of [1].
std::int64_t scale_row(const Encoding& encoding, const RowBlock& block) {
  const FieldRuns runs = encoding.rows(block).fields[1];
  const FieldLayout layout = encoding.fields()[1];
  const std::int64_t row = byte_count(
      layout.dtype, {layout.shape.empty() ? 1 : layout.shape.back()});
  return row == 0 ? 0 : runs.offset / row;
}

// Writes codes, scales and zero points of a source under the field numbers 0, 1
// and 2; scales keep their dtype.
class CodesEncoder final : public Encoder {
 public:
  CodesEncoder(const CheckpointSource& source, const DialectTensor& tensor)
      : source_(source),
        tensor_(tensor),
        shape_(matrix_shape(tensor.encoding->shape())) {}

  std::int64_t row_multiple() const override {
    return tensor_.encoding->row_unit();
  }

  void encode(const RowBlock& block,
              ConstTensorView,
              FieldSink& sink) const override {
    const EncodedTensor part = read_encoded_rows(source_, tensor_, block);
    const Codes codes = codes_of(part);
    sink.write(0,
               (block.matrix * shape_.rows + block.row) * shape_.columns,
               codes.codes.view().bytes());
    const std::int64_t groups =
        codes.scale.shape().empty() ? 1 : codes.scale.shape().back();
    const std::int64_t first = scale_row(*tensor_.encoding, block) * groups;
    sink.write(1,
               first * (bit_width(codes.scale.dtype()) / 8),
               codes.scale.view().bytes());
    if (codes.zero_point.numel() == codes.scale.numel()) {
      sink.write(2, first, codes.zero_point.view().bytes());
    }
  }

 private:
  const CheckpointSource& source_;
  const DialectTensor& tensor_;
  MatrixShape shape_;
};

// Codes, scales and zero points as CodesEncoder writes them.
class CodesEncoding final : public Encoding {
 public:
  CodesEncoding(const CheckpointSource& source, const DialectTensor& tensor)
      : Encoding(tensor.encoding->shape(), tensor.encoding->dtype()),
        source_(source),
        tensor_(tensor) {}

  std::string_view format_name() const override { return tensor_.type; }
  std::vector<FieldLayout> fields() const override {
    const FieldLayout scale = tensor_.encoding->fields()[1];
    return {{"qdata", DType::Int8, shape()},
            {"scale", scale.dtype, scale.shape},
            {"zero_point", DType::Int8, scale.shape}};
  }
  std::string attributes_json() const override {
    return tensor_.encoding->attributes_json();
  }
  std::unique_ptr<Encoder> make_encoder() const override {
    return std::make_unique<CodesEncoder>(source_, tensor_);
  }
  HostTensor decode(std::span<const ConstTensorView>) const override {
    never();
  }
  EncodedTensor slice(std::span<const ConstTensorView>,
                      std::int64_t,
                      std::int64_t,
                      std::int64_t) const override {
    never();
  }
  EncodedTensor select(std::span<const ConstTensorView>,
                       std::int64_t) const override {
    never();
  }
  EncodedRows rows(const RowBlock&) const override { never(); }

 private:
  [[noreturn]] static void never() {
    throw Error(ErrorKind::Unexpected, "carried codes are written, not stored");
  }

  const CheckpointSource& source_;
  const DialectTensor& tensor_;
};

// Fields of torchao from CodesEncoder's.
class TorchaoSink final : public FieldSink {
 public:
  TorchaoSink(const Encoding& to, DType scale_dtype, FieldSink& out)
      : to_(to), scale_dtype_(scale_dtype), out_(out) {}

  void write(std::size_t field,
             std::int64_t offset,
             std::span<const std::byte> bytes) override {
    if (field == 0) return out_.write(0, offset, bytes);
    if (field == 1) return write_scales(offset, bytes);
    if (const auto zero = fields::index(to_, "zero_point")) {
      out_.write(*zero, offset, bytes);
    }
  }

 private:
  void write_scales(std::int64_t offset, std::span<const std::byte> bytes) {
    const std::int64_t item = bit_width(scale_dtype_) / 8;
    const std::int64_t count = static_cast<std::int64_t>(bytes.size()) / item;
    const DType dtype = to_.fields()[1].dtype;
    const HostTensor out =
        fields::exact_scales(to_.format_name(),
                             {scale_dtype_, {count}, bytes.data()},
                             dtype,
                             "--format plain decodes it");
    out_.write(1, offset / item * (bit_width(dtype) / 8), out.view().bytes());
  }

  const Encoding& to_;
  DType scale_dtype_;
  FieldSink& out_;
};

class TorchaoEncoder final : public Encoder {
 public:
  TorchaoEncoder(const Encoding& to, const CodesEncoding& codes)
      : to_(to),
        scale_dtype_(codes.fields()[1].dtype),
        codes_(codes.make_encoder()) {}

  std::int64_t row_multiple() const override { return codes_->row_multiple(); }
  void encode(const RowBlock& block,
              ConstTensorView rows,
              FieldSink& sink) const override {
    TorchaoSink torchao(to_, scale_dtype_, sink);
    codes_->encode(block, rows, torchao);
  }

 private:
  const Encoding& to_;
  DType scale_dtype_;
  std::unique_ptr<Encoder> codes_;
};

// An encoding of torchao whose encoder carries codes over.
class CarriedEncoding final : public Encoding {
 public:
  CarriedEncoding(std::shared_ptr<const Encoding> target, CodesEncoding codes)
      : Encoding(target->shape(), target->dtype()),
        target_(std::move(target)),
        codes_(std::move(codes)) {}

  std::string_view format_name() const override {
    return target_->format_name();
  }
  std::vector<FieldLayout> fields() const override { return target_->fields(); }
  std::size_t required_fields() const override {
    return target_->required_fields();
  }
  std::string attributes_json() const override {
    return target_->attributes_json();
  }
  std::unique_ptr<Encoder> make_encoder() const override {
    return std::make_unique<TorchaoEncoder>(*target_, codes_);
  }
  HostTensor decode(std::span<const ConstTensorView> fields) const override {
    return target_->decode(fields);
  }
  EncodedTensor slice(std::span<const ConstTensorView> fields,
                      std::int64_t dim,
                      std::int64_t begin,
                      std::int64_t end) const override {
    return target_->slice(fields, dim, begin, end);
  }
  EncodedTensor select(std::span<const ConstTensorView> fields,
                       std::int64_t index) const override {
    return target_->select(fields, index);
  }
  EncodedRows rows(const RowBlock& block) const override {
    return target_->rows(block);
  }
  std::int64_t row_unit() const override { return target_->row_unit(); }
  std::string check_values(
      std::span<const ConstTensorView> fields) const override {
    return target_->check_values(fields);
  }

 private:
  std::shared_ptr<const Encoding> target_;
  CodesEncoding codes_;
};

// Scales of equal count and codes of one kind: with equal shapes that is the
// same grid, as every block of these formats has equal extents.
bool same_grid(const Encoding& a, const Encoding& b) {
  const auto width = [](const Encoding& encoding) {
    const Shape scale = encoding.fields()[1].shape;
    return std::pair(numel(scale), scale.empty() ? 1 : scale.back());
  };
  const auto floating = [](const Encoding& encoding) {
    return encoding.fields()[0].dtype == DType::Float8E4M3FN;
  };
  return a.shape() == b.shape() && width(a) == width(b) &&
         floating(a) == floating(b);
}

}  // namespace

EncodedTensor read_encoded_rows(const CheckpointSource& source,
                                const DialectTensor& tensor,
                                const RowBlock& block) {
  const EncodedRows rows = tensor.encoding->rows(block);
  EncodedTensor out{rows.encoding, {}};
  const std::vector<FieldLayout> fields = rows.encoding->fields();
  for (std::size_t i = 0; i < fields.size(); ++i) {
    HostTensor field(fields[i].dtype, fields[i].shape);
    read_runs(source, tensor.parts[i], rows.fields[i], field.data());
    out.fields.push_back(std::move(field));
  }
  return out;
}

std::shared_ptr<const Encoding> carried_from(
    const CheckpointSource& source,
    const DialectTensor& tensor,
    const std::shared_ptr<const Encoding>& target) {
  if (tensor.encoding == nullptr || grid_format(*tensor.encoding) == nullptr ||
      grid_format(*target) == nullptr ||
      !same_grid(*tensor.encoding, *target)) {
    return nullptr;
  }
  const auto* compressed =
      dynamic_cast<const CompressedEncoding*>(target.get());
  if (compressed == nullptr) {
    return std::make_shared<CarriedEncoding>(target,
                                             CodesEncoding(source, tensor));
  }
  return std::make_shared<CompressedEncoding>(
      target->shape(),
      target->dtype(),
      compressed->spec(),
      std::make_shared<CodesEncoding>(source, tensor),
      target->shape());
}

std::string grid_key(const DialectTensor& tensor) {
  std::string key = tensor.type + tensor.encoding->attributes_json();
  const std::vector<FieldLayout> fields = tensor.encoding->fields();
  if (fields.size() < 2 || grid_format(*tensor.encoding) == nullptr) return key;
  // A group as long as a row becomes another strategy than one that is shorter.
  const Shape& scale = fields[1].shape;
  if (numel(scale) == 1) return key + " whole";
  return !scale.empty() && scale.back() == 1 ? key + " rows" : key;
}

bool has_zero_points(const CheckpointSource& source,
                     const DialectTensor& tensor) {
  if (const auto* compressed =
          dynamic_cast<const CompressedEncoding*>(tensor.encoding.get())) {
    return !compressed->spec().symmetric;
  }
  const auto zero = fields::index(*tensor.encoding, "zero_point");
  if (!zero || grid_format(*tensor.encoding) == nullptr) return false;
  const SourceTensor& stored = source.tensors()[tensor.parts[*zero]];
  const MatrixShape shape = matrix_shape(stored.shape);
  HostTensor values(stored.dtype, stored.shape);
  source.read_rows(tensor.parts[*zero],
                   0,
                   shape.matrices * shape.rows,
                   values.mutable_view().bytes());
  const auto bytes = values.view().bytes();
  return std::ranges::any_of(
      bytes, [](std::byte value) { return value != std::byte{0}; });
}

}  // namespace mantissa
