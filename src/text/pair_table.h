#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <mantissa/text/tokenizer.h>

namespace mantissa::text {

/// What merging two neighbours gives.
struct Merge {
  std::uint32_t rank = kNone;  ///< the least rank is merged first
  TokenId token = -1;

  static constexpr std::uint32_t kNone = UINT32_MAX;
};

/// Pairs of tokens and their merges, by open addressing.
class PairTable {
 public:
  explicit PairTable(std::size_t pairs = 0)
      : slots_(std::bit_ceil(pairs * 2 + 1)) {}

  /// A pair that is there already gets the new merge. At most as many pairs as
  /// the constructor was told.
  void set(TokenId left, TokenId right, Merge merge) {
    slots_[find(key(left, right))] = {key(left, right), merge};
  }

  const Merge& get(TokenId left, TokenId right) const {
    return slots_[find(key(left, right))].merge;
  }

 private:
  struct Slot {
    std::uint64_t key = 0;
    Merge merge;
  };

  // Ids are below 2^22, so that no key is 0.
  static std::uint64_t key(TokenId left, TokenId right) {
    return (static_cast<std::uint64_t>(left) << 32 |
            static_cast<std::uint64_t>(right)) +
           1;
  }

  std::size_t find(std::uint64_t key) const {
    constexpr std::uint64_t kGolden = 0x9e3779b97f4a7c15;  // 2^64 / phi
    std::size_t slot = key * kGolden >> 20;
    while (true) {
      slot &= slots_.size() - 1;
      if (slots_[slot].key == key || slots_[slot].key == 0) return slot;
      ++slot;
    }
  }

  std::vector<Slot> slots_;
};

}  // namespace mantissa::text
