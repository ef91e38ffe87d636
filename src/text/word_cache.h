#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <mantissa/text/tokenizer.h>

namespace mantissa::text {

/// Remembers the tokens of short words; forgets everything when it is full.
class WordCache {
 public:
  static constexpr std::size_t kLongestWord = 128;

  /// Whether the word is known; then `ids` holds its tokens.
  bool find(std::string_view word, std::span<const TokenId>& ids);
  /// Remembers the word that find() did not know last.
  void add(std::string_view word, std::span<const TokenId> ids);

 private:
  static constexpr std::size_t kSlots = std::size_t{1} << 16;

  struct Entry {
    std::uint64_t hash = 0;
    std::uint32_t text = 0;
    std::uint32_t ids = 0;
    std::uint16_t text_size = 0;
    std::uint16_t ids_size = 0;
    bool used = false;
  };

  std::vector<Entry> entries_;
  std::string texts_;
  std::vector<TokenId> ids_;
  std::size_t count_ = 0;
  std::uint64_t last_hash_ = 0;
  std::size_t last_slot_ = 0;
};

}  // namespace mantissa::text
