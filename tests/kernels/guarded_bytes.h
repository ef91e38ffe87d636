#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>
#include <new>

namespace mantissa::kernels {

/// Memory, full of what nothing may depend on, with a page behind it that ends
/// the process when it is touched. The end is at the page: a multiple of 64
/// bytes begins at one too.
class GuardedBytes {
 public:
  explicit GuardedBytes(std::size_t bytes) {
    const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    usable_ = (bytes + page - 1) / page * page;
    size_ = usable_ + page;
    void* all = mmap(nullptr,
                     size_,
                     PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS,
                     -1,
                     0);
    if (all == MAP_FAILED) throw std::bad_alloc();
    memory_ = static_cast<std::byte*>(all);
    std::memset(memory_, 0x3f, usable_);
    mprotect(memory_ + usable_, page, PROT_NONE);
    data_ = memory_ + usable_ - bytes;
  }
  ~GuardedBytes() { munmap(memory_, size_); }
  GuardedBytes(const GuardedBytes&) = delete;

  std::byte* data() const { return data_; }

 private:
  std::size_t usable_ = 0;
  std::size_t size_ = 0;
  std::byte* memory_ = nullptr;
  std::byte* data_ = nullptr;
};

}  // namespace mantissa::kernels
