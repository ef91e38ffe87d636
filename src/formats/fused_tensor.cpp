#include "formats/fused_tensor.h"

#include <cstring>
#include <string>
#include <utility>

#include <fmt/format.h>

#include <mantissa/core/error.h>

#include "formats/dense_slice.h"
#include "formats/fields.h"

namespace mantissa {
namespace {

constexpr std::string_view kName = "FusedTensor";

[[noreturn]] void refuse(const std::string& what) {
  throw Error(ErrorKind::Usage, fmt::format("{}: {}", kName, what));
}

class FusedEncoding final : public Encoding {
 public:
  FusedEncoding(Shape shape, std::shared_ptr<const Encoding> matrix)
      : Encoding(std::move(shape), matrix->dtype()),
        matrix_(std::move(matrix)) {}

  const std::shared_ptr<const Encoding>& matrix() const { return matrix_; }
  std::int64_t count() const {
    return numel(shape()) / numel(matrix_->shape());
  }

  std::string_view format_name() const override { return kName; }
  std::vector<FieldLayout> fields() const override {
    std::vector<FieldLayout> out = matrix_->fields();
    for (FieldLayout& field : out) {
      field.shape.insert(field.shape.begin(), count());
    }
    return out;
  }
  std::size_t required_fields() const override {
    return matrix_->required_fields();
  }
  std::string attributes_json() const override {
    return matrix_->attributes_json();
  }
  std::unique_ptr<Encoder> make_encoder() const override {
    refuse("it is made of encoded matrices, not of values");
  }
  HostTensor decode(std::span<const ConstTensorView> fields) const override {
    std::vector<HostTensor> parts;
    for (std::int64_t i = 0; i < count(); ++i) {
      parts.push_back(matrix_->decode(fused_fields(fields, i)));
    }
    return joined(parts, shape());
  }
  EncodedTensor slice(std::span<const ConstTensorView> fields,
                      std::int64_t dim,
                      std::int64_t begin,
                      std::int64_t end) const override;
  EncodedTensor select(std::span<const ConstTensorView> fields,
                       std::int64_t index) const override;
  EncodedRows rows(const RowBlock&) const override {
    refuse("rows: it is read as a whole");
  }
  std::string check_values(
      std::span<const ConstTensorView> fields) const override;

 private:
  // Matrices of one index of dimension 0, of 3 dimensions.
  std::int64_t each() const { return count() / shape()[0]; }

  std::shared_ptr<const Encoding> matrix_;
};

EncodedTensor FusedEncoding::slice(std::span<const ConstTensorView> fields,
                                   std::int64_t dim,
                                   std::int64_t begin,
                                   std::int64_t end) const {
  fields::check_slice(kName, shape(), dim, begin, end);
  if (dim != 0 || shape().size() != 3) {
    refuse(
        fmt::format("slice: dimension {} of {} is not one of experts; decode "
                    "first",
                    dim,
                    to_string(shape())));
  }
  EncodedTensor out;
  out.encoding =
      make_fused_encoding({end - begin, shape()[1], shape()[2]}, matrix_);
  for (const ConstTensorView& field : fields) {
    out.fields.push_back(slice_dense(field, 0, begin * each(), end * each()));
  }
  return out;
}

EncodedTensor FusedEncoding::select(std::span<const ConstTensorView> fields,
                                    std::int64_t index) const {
  fields::check_select(kName, shape(), index);
  EncodedTensor out;
  if (each() == 1) {
    out.encoding = matrix_;
    for (const ConstTensorView& field : fused_fields(fields, index)) {
      out.fields.push_back(fields::copied(field));
    }
    return out;
  }
  out.encoding = make_fused_encoding({shape()[1], shape()[2]}, matrix_);
  for (const ConstTensorView& field : fields) {
    out.fields.push_back(
        slice_dense(field, 0, index * each(), (index + 1) * each()));
  }
  return out;
}

std::string FusedEncoding::check_values(
    std::span<const ConstTensorView> fields) const {
  for (std::int64_t i = 0; i < count(); ++i) {
    const std::string wrong = matrix_->check_values(fused_fields(fields, i));
    if (!wrong.empty()) return fmt::format("matrix {}: {}", i, wrong);
  }
  return {};
}

}  // namespace

std::shared_ptr<const Encoding> make_fused_encoding(
    Shape shape, std::shared_ptr<const Encoding> matrix) {
  const Shape& one = matrix->shape();
  const std::size_t rank = shape.size();
  if (one.size() != 2 || numel(one) == 0 || (rank != 2 && rank != 3) ||
      shape[rank - 1] != one[1] || shape[rank - 2] % one[0] != 0) {
    refuse(fmt::format("shape: expected [E, N, K] of whole matrices {}, got {}",
                       to_string(one),
                       to_string(shape)));
  }
  return std::make_shared<FusedEncoding>(std::move(shape), std::move(matrix));
}

bool is_fused(const Encoding& encoding) {
  return fused_matrix(encoding) != nullptr;
}

std::shared_ptr<const Encoding> fused_matrix(const Encoding& encoding) {
  const auto* fused = dynamic_cast<const FusedEncoding*>(&encoding);
  return fused == nullptr ? nullptr : fused->matrix();
}

const Encoding& one_matrix(const Encoding& encoding) {
  const auto* fused = dynamic_cast<const FusedEncoding*>(&encoding);
  return fused == nullptr ? encoding : *fused->matrix();
}

std::int64_t fused_count(const Encoding& encoding) {
  const auto* fused = dynamic_cast<const FusedEncoding*>(&encoding);
  return fused == nullptr ? 1 : fused->count();
}

std::vector<ConstTensorView> fused_fields(
    std::span<const ConstTensorView> fields, std::int64_t i) {
  std::vector<ConstTensorView> out;
  for (const ConstTensorView& field : fields) {
    out.push_back(select_dense(field, i));
  }
  return out;
}

HostTensor joined(std::span<const HostTensor> parts, Shape shape) {
  if (parts.empty() || parts.front().numel() == 0) return {};
  HostTensor out =
      HostTensor::uninitialized(parts.front().dtype(), std::move(shape));
  std::byte* to = out.data();
  for (const HostTensor& part : parts) {
    const auto bytes = part.view().bytes();
    std::memcpy(to, bytes.data(), bytes.size());
    to += bytes.size();
  }
  return out;
}

}  // namespace mantissa
