#include "core/huge_page_bytes.h"

#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>
#include <mutex>
#include <new>

namespace mantissa {
namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kShared = false;  // bounds are watched around each block alone
#else
constexpr bool kShared = true;
#endif

constexpr std::size_t kPage = std::size_t{2} << 20;
// Of address space: what is not touched takes no memory.
constexpr std::size_t kRegion = 16 * kPage;

constexpr std::size_t rounded(std::size_t bytes, std::size_t to) {
  return (bytes + to - 1) / to * to;
}

// Pages of their own, from the boundary of a huge page on.
class Region {
 public:
  explicit Region(std::size_t bytes) : bytes_(rounded(bytes, kPage)) {
    const std::size_t mapped = bytes_ + kPage;
    void* const at = ::mmap(nullptr,
                            mapped,
                            PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                            -1,
                            0);
    if (at == MAP_FAILED) throw std::bad_alloc();
    auto* const begin = static_cast<std::byte*>(at);
    const auto address = reinterpret_cast<std::uintptr_t>(at);
    const std::size_t before = rounded(address, kPage) - address;
    begin_ = begin + before;
    if (before > 0) ::munmap(begin, before);
    if (before < kPage) ::munmap(begin_ + bytes_, kPage - before);
    ::madvise(begin_, bytes_, MADV_HUGEPAGE);  // without them it works too
  }
  ~Region() { ::munmap(begin_, bytes_); }
  Region(const Region&) = delete;
  Region& operator=(const Region&) = delete;

  // Null where there is no room left.
  std::byte* take(std::size_t bytes) {
    if (bytes > bytes_ - used_) return nullptr;
    std::byte* const at = begin_ + used_;
    used_ += rounded(bytes, HugePageBytes::kAlignment);
    return at;
  }

 private:
  std::size_t bytes_;
  std::size_t used_ = 0;  // a multiple of kAlignment, as bytes_ is
  std::byte* begin_ = nullptr;
};

std::shared_ptr<std::byte> from_region(const std::shared_ptr<Region>& region,
                                       std::size_t bytes) {
  std::byte* const at = region->take(bytes);
  return at == nullptr ? nullptr : std::shared_ptr<std::byte>(region, at);
}

std::shared_ptr<std::byte> shared_pages(std::size_t bytes) {
  if (bytes > kRegion / 4) {
    return from_region(std::make_shared<Region>(bytes), bytes);
  }
  static std::mutex mutex;
  static std::weak_ptr<Region> newest;
  const std::lock_guard lock(mutex);
  if (const auto region = newest.lock()) {
    if (auto out = from_region(region, bytes)) return out;
  }
  const auto region = std::make_shared<Region>(kRegion);
  newest = region;
  return from_region(region, bytes);
}

}  // namespace

HugePageBytes::HugePageBytes(std::size_t bytes) : bytes_(bytes) {
  if (bytes == 0) return;
  if (bytes > SIZE_MAX / 2) throw std::bad_alloc();
  if (kShared) {
    data_ = shared_pages(bytes);
    return;
  }
  data_.reset(static_cast<std::byte*>(
                  std::aligned_alloc(kAlignment, rounded(bytes, kAlignment))),
              [](std::byte* p) { std::free(p); });
  if (data_ == nullptr) throw std::bad_alloc();
}

}  // namespace mantissa
