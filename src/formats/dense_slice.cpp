#include "formats/dense_slice.h"

#include <cstring>
#include <string>

#include <mantissa/core/error.h>

namespace mantissa {

HostTensor slice_dense(ConstTensorView tensor,
                       std::int64_t dim,
                       std::int64_t begin,
                       std::int64_t end) {
  const auto rank = static_cast<std::int64_t>(tensor.shape.size());
  const auto d = static_cast<std::size_t>(dim);
  if (dim < 0 || dim >= rank || begin < 0 || begin > end ||
      end > tensor.shape[d]) {
    throw Error(ErrorKind::Usage,
                "slice: [" + std::to_string(begin) + ", " +
                    std::to_string(end) + ") of dimension " +
                    std::to_string(dim) + " is outside shape " +
                    to_string(tensor.shape));
  }
  Shape shape = tensor.shape;
  shape[d] = end - begin;
  HostTensor out(tensor.dtype, shape);
  std::int64_t outer = 1;
  for (std::size_t i = 0; i < d; ++i) outer *= shape[i];
  std::int64_t inner = bit_width(tensor.dtype) / 8;
  for (std::size_t i = d + 1; i < shape.size(); ++i) inner *= shape[i];
  const std::int64_t from_stride = tensor.shape[d] * inner;
  const std::int64_t to_stride = shape[d] * inner;
  if (to_stride == 0) return out;
  for (std::int64_t i = 0; i < outer; ++i) {
    std::memcpy(out.data() + i * to_stride,
                tensor.data + i * from_stride + begin * inner,
                static_cast<std::size_t>(to_stride));
  }
  return out;
}

ConstTensorView select_dense(ConstTensorView tensor, std::int64_t index) {
  if (tensor.shape.empty() || index < 0 || index >= tensor.shape[0]) {
    throw Error(ErrorKind::Usage,
                "select: index " + std::to_string(index) +
                    " is outside dimension 0 of shape " +
                    to_string(tensor.shape));
  }
  const Shape shape(tensor.shape.begin() + 1, tensor.shape.end());
  return {tensor.dtype,
          shape,
          tensor.data + index * byte_count(tensor.dtype, shape)};
}

}  // namespace mantissa
