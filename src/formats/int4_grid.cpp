#include "formats/int4_grid.h"

#include <cstdint>
#include <utility>

#include "formats/int4_tensor_encoder.h"
#include "kernels/common/nibbles.h"

namespace mantissa {
namespace {

constexpr std::uint8_t kNoFlip = 0;

// A two's complement nibble as a byte.
std::int8_t signed_code(std::uint8_t nibble) {
  return static_cast<std::int8_t>((nibble ^ 8) - 8);
}

// Matrices [rows, columns] of a whole tensor to [columns, rows].
template <class T>
void exchange(ConstTensorView values,
              std::int64_t rows,
              std::int64_t columns,
              const HostTensor& out) {
  const auto* from = values.as<T>();
  auto* to = out.as<T>();
  const T* const end = to + values.numel();
  for (; to < end; from += rows * columns) {
    for (std::int64_t column = 0; column < columns; ++column) {
      for (std::int64_t row = 0; row < rows; ++row) {
        *to++ = from[row * columns + column];
      }
    }
  }
}

}  // namespace

HostTensor int4_codes(ConstTensorView qdata) {
  Shape shape = qdata.shape;
  shape.back() *= 2;
  HostTensor out = HostTensor::uninitialized(DType::Int8, std::move(shape));
  auto* codes = reinterpret_cast<std::uint8_t*>(out.data());
  const std::int64_t count = out.numel();
  kernels::unpack_nibbles<kInt4Order>(
      qdata.as<std::uint8_t>(), count, kNoFlip, codes);
  for (std::int64_t i = 0; i < count; ++i) {
    codes[i] = static_cast<std::uint8_t>(signed_code(codes[i]));
  }
  return out;
}

HostTensor int4_qdata(ConstTensorView codes) {
  Shape shape = codes.shape;
  shape.back() /= 2;
  HostTensor out = HostTensor::uninitialized(DType::Int8, std::move(shape));
  auto* bytes = reinterpret_cast<std::uint8_t*>(out.data());
  const auto* from = codes.as<std::uint8_t>();
  const std::int64_t count = out.numel();
  for (std::int64_t i = 0; i < count; ++i) {
    const std::uint8_t pair[2] = {
        static_cast<std::uint8_t>(from[2 * i] & 15),
        static_cast<std::uint8_t>(from[2 * i + 1] & 15)};
    kernels::pack_nibbles<kInt4Order>(pair, 2, kNoFlip, bytes + i);
  }
  return out;
}

HostTensor int4_exchanged(ConstTensorView values) {
  Shape shape = values.shape;
  const std::int64_t rows = shape[shape.size() - 2];
  const std::int64_t columns = shape.back();
  std::swap(shape[shape.size() - 2], shape.back());
  HostTensor out = HostTensor::uninitialized(values.dtype, std::move(shape));
  if (bit_width(values.dtype) == 16) {
    exchange<std::uint16_t>(values, rows, columns, out);
  } else {
    exchange<std::uint32_t>(values, rows, columns, out);
  }
  return out;
}

}  // namespace mantissa
