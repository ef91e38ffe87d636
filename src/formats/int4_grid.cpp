#include "formats/int4_grid.h"

#include <cstdint>
#include <cstring>
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

}  // namespace

HostTensor int4_codes(ConstTensorView qdata) {
  Shape shape = qdata.shape;
  shape.back() *= 2;
  HostTensor out(DType::Int8, std::move(shape));
  auto* codes = reinterpret_cast<std::uint8_t*>(out.data());
  kernels::unpack_nibbles<kInt4Order>(
      qdata.as<std::uint8_t>(), out.numel(), kNoFlip, codes);
  for (std::int64_t i = 0; i < out.numel(); ++i) {
    codes[i] = static_cast<std::uint8_t>(signed_code(codes[i]));
  }
  return out;
}

HostTensor int4_qdata(ConstTensorView codes) {
  Shape shape = codes.shape;
  shape.back() /= 2;
  HostTensor out(DType::Int8, std::move(shape));
  auto* bytes = reinterpret_cast<std::uint8_t*>(out.data());
  const auto* from = codes.as<std::uint8_t>();
  for (std::int64_t i = 0; i < out.numel(); ++i) {
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
  HostTensor out(values.dtype, std::move(shape));
  const std::int64_t bytes = bit_width(values.dtype) / 8;
  const auto* from = values.as<std::byte>();
  auto* to = out.data();
  for (std::int64_t i = 0; i < out.numel(); ++i) {
    const std::int64_t matrix = i / (rows * columns);
    const std::int64_t row = i / rows % columns;  // of the result
    const std::int64_t at = (matrix * rows + i % rows) * columns + row;
    std::memcpy(
        to + i * bytes, from + at * bytes, static_cast<std::size_t>(bytes));
  }
  return out;
}

}  // namespace mantissa
