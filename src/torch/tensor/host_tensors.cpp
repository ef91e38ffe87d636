#include "torch/tensor/host_tensors.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <c10/util/Exception.h>

#include "torch/tensor/torch_errors.h"

namespace mantissa {
namespace {

struct TypePair {
  DType ours;
  c10::ScalarType theirs;
};

constexpr TypePair kTypes[] = {
    {DType::Float64, c10::ScalarType::Double},
    {DType::Float32, c10::ScalarType::Float},
    {DType::BFloat16, c10::ScalarType::BFloat16},
    {DType::Float16, c10::ScalarType::Half},
    {DType::Float8E4M3FN, c10::ScalarType::Float8_e4m3fn},
    {DType::Float8E5M2, c10::ScalarType::Float8_e5m2},
    {DType::Float8E4M3FNUZ, c10::ScalarType::Float8_e4m3fnuz},
    {DType::Float8E5M2FNUZ, c10::ScalarType::Float8_e5m2fnuz},
    {DType::Float8E8M0FNU, c10::ScalarType::Float8_e8m0fnu},
    {DType::Int64, c10::ScalarType::Long},
    {DType::Int32, c10::ScalarType::Int},
    {DType::Int16, c10::ScalarType::Short},
    {DType::Int8, c10::ScalarType::Char},
    {DType::UInt8, c10::ScalarType::Byte},
    {DType::UInt16, c10::ScalarType::UInt16},
    {DType::UInt32, c10::ScalarType::UInt32},
    {DType::UInt64, c10::ScalarType::UInt64},
    {DType::Bool, c10::ScalarType::Bool},
};

// Fields as views of host memory; the copies live as long as this.
class HostFields {
 public:
  explicit HostFields(const std::vector<at::Tensor>& fields) {
    for (const at::Tensor& field : fields) {
      owned_.push_back(field.cpu().contiguous());
      views_.push_back(host_view(owned_.back()));
    }
  }
  const std::vector<ConstTensorView>& views() const { return views_; }

 private:
  std::vector<at::Tensor> owned_;
  std::vector<ConstTensorView> views_;
};

// One row of a weight: the smallest block of rows around it, decoded.
void decode_row(const Encoding& encoding,
                const std::vector<ConstTensorView>& fields,
                std::int64_t row,
                std::byte* out) {
  const MatrixShape shape = matrix_shape(encoding.shape());
  const std::int64_t unit = encoding.row_unit();
  const std::int64_t first = row / unit * unit;
  const EncodedRows part =
      encoding.rows({0, first, std::min(unit, shape.rows - first)});
  const std::vector<FieldLayout> layouts = part.encoding->fields();
  EncodedTensor block{part.encoding, {}};
  for (std::size_t i = 0; i < layouts.size(); ++i) {
    HostTensor field(layouts[i].dtype, layouts[i].shape);
    const FieldRuns& runs = part.fields[i];
    for (std::int64_t run = 0; run < runs.count; ++run) {
      std::memcpy(field.data() + run * runs.bytes,
                  fields[i].data + runs.offset + run * runs.stride,
                  static_cast<std::size_t>(runs.bytes));
    }
    block.fields.push_back(std::move(field));
  }
  const HostTensor values = block.decode();
  const std::int64_t bytes = byte_count(values.dtype(), {shape.columns});
  std::memcpy(out,
              values.data() + (row - first) * bytes,
              static_cast<std::size_t>(bytes));
}

TensorFields on_device(EncodedTensor encoded, c10::Device device) {
  TensorFields out{std::move(encoded.encoding), {}};
  for (HostTensor& field : encoded.fields) {
    out.fields.push_back(from_host(std::move(field)).to(device));
  }
  return out;
}

}  // namespace

c10::ScalarType scalar_type_of(DType dtype) {
  for (const TypePair& pair : kTypes) {
    if (pair.ours == dtype) return pair.theirs;
  }
  TORCH_CHECK_TYPE(false, "mantissa: torch has no dtype for ", name(dtype));
}

DType dtype_of(c10::ScalarType type) {
  for (const TypePair& pair : kTypes) {
    if (pair.theirs == type) return pair.ours;
  }
  TORCH_CHECK_TYPE(false, "mantissa: no quantized tensor holds ", type);
}

bool has_dtype(c10::ScalarType type) {
  return std::ranges::find(kTypes, type, &TypePair::theirs) != std::end(kTypes);
}

Shape shape_of(const at::Tensor& tensor) { return tensor.sizes().vec(); }

ConstTensorView host_view(const at::Tensor& tensor) {
  return {dtype_of(tensor.scalar_type()),
          shape_of(tensor),
          static_cast<const std::byte*>(tensor.const_data_ptr())};
}

at::Tensor from_host(HostTensor tensor) {
  const c10::ScalarType type = scalar_type_of(tensor.dtype());
  const Shape shape = tensor.shape();
  void* data = tensor.data();
  return at::from_blob(
      data, shape, [owner = std::move(tensor)](void*) {}, type);
}

at::Tensor decode_fields(const Encoding& encoding,
                         const std::vector<at::Tensor>& fields) {
  const HostFields host(fields);
  HostTensor values =
      with_torch_errors([&] { return encoding.decode(host.views()); });
  return from_host(std::move(values)).to(fields.front().device());
}

at::Tensor decode_rows(const Encoding& encoding,
                       const std::vector<at::Tensor>& fields,
                       const at::Tensor& indices) {
  const HostFields host(fields);
  const at::Tensor rows = indices.cpu().to(at::kLong).contiguous();
  const auto* row = rows.const_data_ptr<std::int64_t>();
  Shape sizes = rows.sizes().vec();
  sizes.push_back(encoding.shape()[1]);
  at::Tensor out =
      at::empty(sizes, at::TensorOptions(scalar_type_of(encoding.dtype())));
  auto* bytes = static_cast<std::byte*>(out.mutable_data_ptr());
  const std::int64_t row_bytes =
      byte_count(encoding.dtype(), {encoding.shape()[1]});
  for (std::int64_t i = 0; i < rows.numel(); ++i) {
    TORCH_CHECK_INDEX(row[i] >= 0 && row[i] < encoding.shape()[0],
                      "embedding: index ",
                      row[i],
                      " is outside a quantized weight of ",
                      c10::IntArrayRef(encoding.shape()));
    with_torch_errors([&] {
      decode_row(encoding, host.views(), row[i], bytes + i * row_bytes);
    });
  }
  return out;
}

TensorFields slice_fields(const Encoding& encoding,
                          const std::vector<at::Tensor>& fields,
                          std::int64_t dim,
                          std::int64_t begin,
                          std::int64_t end) {
  const HostFields host(fields);
  return on_device(with_torch_errors([&] {
                     return encoding.slice(host.views(), dim, begin, end);
                   }),
                   fields.front().device());
}

TensorFields select_fields(const Encoding& encoding,
                           const std::vector<at::Tensor>& fields,
                           std::int64_t index) {
  const HostFields host(fields);
  return on_device(
      with_torch_errors([&] { return encoding.select(host.views(), index); }),
      fields.front().device());
}

}  // namespace mantissa
