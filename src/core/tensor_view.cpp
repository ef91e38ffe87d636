#include <mantissa/core/tensor_view.h>

#include <cstdlib>
#include <cstring>

#include <mantissa/core/error.h>

namespace mantissa {
namespace {

constexpr std::size_t kAlignment = 64;  // one cache line, one AVX-512 register

std::size_t padded(std::size_t size) {
  return (size / kAlignment + 1) * kAlignment;
}

[[noreturn]] void throw_shape(const Shape& shape, const char* what) {
  throw Error(ErrorKind::Input, "shape " + to_string(shape) + ": " + what);
}

}  // namespace

std::int64_t numel(const Shape& shape) {
  std::int64_t count = 1;
  for (const std::int64_t extent : shape) {
    if (extent < 0) throw_shape(shape, "negative extent");
    if (__builtin_mul_overflow(count, extent, &count)) {
      throw_shape(shape, "the number of elements overflows 64 bits");
    }
  }
  return count;
}

std::int64_t byte_count(DType dtype, const Shape& shape) {
  std::int64_t bits = 0;
  if (__builtin_mul_overflow(
          numel(shape), std::int64_t{bit_width(dtype)}, &bits)) {
    throw_shape(shape, "the number of bits overflows 64 bits");
  }
  if (bits % 8 != 0) throw_shape(shape, "the bits do not fill whole bytes");
  return bits / 8;
}

std::string to_string(const Shape& shape) {
  std::string text = "[";
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (i > 0) text += ", ";
    text += std::to_string(shape[i]);
  }
  return text + "]";
}

HostTensor HostTensor::uninitialized(DType dtype, Shape shape) {
  HostTensor out;
  out.dtype_ = dtype;
  out.shape_ = std::move(shape);
  const auto size = static_cast<std::size_t>(out.nbytes());
  void* memory = std::aligned_alloc(kAlignment, padded(size));
  if (memory == nullptr) {
    throw Error(ErrorKind::Resources,
                "out of memory: a tensor of " + std::to_string(size) +
                    " bytes, shape " + to_string(out.shape_));
  }
  out.bytes_.reset(static_cast<std::byte*>(memory),
                   [](std::byte* p) { std::free(p); });
  return out;
}

HostTensor::HostTensor(DType dtype, Shape shape)
    : HostTensor(uninitialized(dtype, std::move(shape))) {
  std::memset(bytes_.get(), 0, padded(static_cast<std::size_t>(nbytes())));
}

}  // namespace mantissa
