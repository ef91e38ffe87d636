#pragma once

#include <memory>
#include <vector>

#include <ATen/core/Tensor.h>

#include <mantissa/core/dtype.h>
#include <mantissa/core/tensor_view.h>
#include <mantissa/formats/encoding.h>

namespace mantissa {

/// torch's type of a field; throws c10::TypeError where torch has none.
c10::ScalarType scalar_type_of(DType dtype);
/// Our word for torch's type; throws c10::TypeError where there is none.
DType dtype_of(c10::ScalarType type);
/// Whether there is one.
bool has_dtype(c10::ScalarType type);

Shape shape_of(const at::Tensor& tensor);

/// A view of a contiguous CPU tensor, which outlives it.
ConstTensorView host_view(const at::Tensor& tensor);

/// A CPU tensor that shares the bytes.
at::Tensor from_host(HostTensor tensor);

/// The weight decoded, on the fields' device, in the encoding's dtype.
at::Tensor decode_fields(const Encoding& encoding,
                         const std::vector<at::Tensor>& fields);

/// Rows of a weight [N, K] decoded, without the others: [indices, K] on the
/// CPU, in the encoding's dtype. `indices` is int64 or int32 of any shape;
/// throws c10::IndexError for one outside [0, N).
at::Tensor decode_rows(const Encoding& encoding,
                       const std::vector<at::Tensor>& fields,
                       const at::Tensor& indices);

/// What a slice or selection of fields gives: an encoding and its fields on the
/// same device.
struct TensorFields {
  std::shared_ptr<const Encoding> encoding;
  std::vector<at::Tensor> fields;
};
TensorFields slice_fields(const Encoding& encoding,
                          const std::vector<at::Tensor>& fields,
                          std::int64_t dim,
                          std::int64_t begin,
                          std::int64_t end);
TensorFields select_fields(const Encoding& encoding,
                           const std::vector<at::Tensor>& fields,
                           std::int64_t index);

}  // namespace mantissa
