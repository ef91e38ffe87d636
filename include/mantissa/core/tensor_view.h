#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include <mantissa/core/dtype.h>

namespace mantissa {

/// Number of elements. Throws Error(Input) on a negative extent or overflow.
std::int64_t numel(const Shape& shape);

/// Bytes of a dense tensor; sub-byte safetensors types are packed. Throws
/// Error(Input) on overflow or when the bits do not fill whole bytes.
std::int64_t byte_count(DType dtype, const Shape& shape);

/// "[256, 1024]".
std::string to_string(const Shape& shape);

/// A dense, row-major tensor that somebody else owns. Logical sub-byte integer
/// dtypes never stand here: their codes are Int8 or UInt8.
struct ConstTensorView {
  DType dtype = DType::UInt8;
  Shape shape;
  const std::byte* data = nullptr;

  std::int64_t numel() const { return mantissa::numel(shape); }
  std::int64_t nbytes() const { return byte_count(dtype, shape); }
  std::span<const std::byte> bytes() const {
    return {data, static_cast<std::size_t>(nbytes())};
  }
  /// The elements as T; the caller knows that T has the dtype's size.
  template <class T>
  const T* as() const {
    return reinterpret_cast<const T*>(data);
  }
};

/// The writable form of ConstTensorView.
struct TensorView {
  DType dtype = DType::UInt8;
  Shape shape;
  std::byte* data = nullptr;

  operator ConstTensorView() const { return {dtype, shape, data}; }
  std::int64_t numel() const { return mantissa::numel(shape); }
  std::int64_t nbytes() const { return byte_count(dtype, shape); }
  std::span<std::byte> bytes() const {
    return {data, static_cast<std::size_t>(nbytes())};
  }
  /// The elements as T; the caller knows that T has the dtype's size.
  template <class T>
  T* as() const {
    return reinterpret_cast<T*>(data);
  }
};

/// A dense tensor that owns its bytes (64-byte aligned, zero-filled). Copies
/// share the bytes.
class HostTensor {
 public:
  HostTensor() = default;
  /// Throws Error(Resources) when the memory is not there.
  HostTensor(DType dtype, Shape shape);
  /// The same for what is overwritten whole: its bytes are undefined.
  static HostTensor uninitialized(DType dtype, Shape shape);

  DType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  std::int64_t numel() const { return mantissa::numel(shape_); }
  std::int64_t nbytes() const { return byte_count(dtype_, shape_); }
  std::byte* data() const { return bytes_.get(); }
  ConstTensorView view() const { return {dtype_, shape_, bytes_.get()}; }
  TensorView mutable_view() { return {dtype_, shape_, bytes_.get()}; }
  template <class T>
  T* as() const {
    return reinterpret_cast<T*>(bytes_.get());
  }

 private:
  DType dtype_ = DType::UInt8;
  Shape shape_ = {0};
  std::shared_ptr<std::byte> bytes_;
};

}  // namespace mantissa
