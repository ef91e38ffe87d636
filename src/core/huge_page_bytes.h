#pragma once

#include <cstddef>
#include <memory>

namespace mantissa {

/// Uninitialized bytes, aligned to a cache line, for what is read over and over
/// from end to end: packed weights. They lie in huge pages where Linux gives
/// them on request (a third more bandwidth with one thread), and small ones
/// share such pages. Pages go back when the last of those that share them does.
class HugePageBytes {
 public:
  static constexpr std::size_t kAlignment = 64;

  HugePageBytes() = default;
  /// Throws std::bad_alloc. Any thread may call it at any time.
  explicit HugePageBytes(std::size_t bytes);

  std::size_t size() const { return bytes_; }
  std::byte* data() const { return data_.get(); }
  template <class T>
  T* as(std::size_t offset = 0) const {
    return reinterpret_cast<T*>(data_.get() + offset);
  }

 private:
  std::shared_ptr<std::byte> data_;
  std::size_t bytes_ = 0;
};

}  // namespace mantissa
