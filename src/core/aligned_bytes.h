#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>

namespace mantissa {

/// Uninitialized bytes, aligned to a cache line, that grow and never shrink;
/// growing drops the content.
class AlignedBytes {
 public:
  static constexpr std::size_t kAlignment = 64;

  AlignedBytes() = default;
  explicit AlignedBytes(std::size_t bytes) { reserve(bytes); }

  /// Room for `bytes`; throws std::bad_alloc.
  void reserve(std::size_t bytes) {
    if (bytes <= bytes_) return;
    const std::size_t rounded = (bytes + kAlignment - 1) & ~(kAlignment - 1);
    data_.reset(
        static_cast<std::byte*>(std::aligned_alloc(kAlignment, rounded)));
    if (data_ == nullptr) {
      bytes_ = 0;
      throw std::bad_alloc();
    }
    bytes_ = rounded;
  }

  std::size_t size() const { return bytes_; }
  std::byte* data() const { return data_.get(); }
  template <class T>
  T* as(std::size_t offset = 0) const {
    return reinterpret_cast<T*>(data_.get() + offset);
  }

 private:
  struct Free {
    void operator()(std::byte* p) const { std::free(p); }
  };
  std::unique_ptr<std::byte, Free> data_;
  std::size_t bytes_ = 0;
};

}  // namespace mantissa
