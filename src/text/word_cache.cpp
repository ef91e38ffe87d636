#include "text/word_cache.h"

#include <xxhash.h>

namespace mantissa::text {

bool WordCache::find(std::string_view word, std::span<const TokenId>& ids) {
  if (entries_.empty()) entries_.resize(kSlots);
  last_hash_ = XXH3_64bits(word.data(), word.size());
  for (last_slot_ = last_hash_;; ++last_slot_) {
    last_slot_ &= kSlots - 1;
    const Entry& entry = entries_[last_slot_];
    if (!entry.used) return false;
    if (entry.hash == last_hash_ &&
        std::string_view(texts_).substr(entry.text, entry.text_size) == word) {
      ids = std::span(ids_).subspan(entry.ids, entry.ids_size);
      return true;
    }
  }
}

void WordCache::add(std::string_view word, std::span<const TokenId> ids) {
  if (++count_ > kSlots / 2) {
    entries_.assign(kSlots, {});
    texts_.clear();
    ids_.clear();
    count_ = 1;
    last_slot_ = last_hash_ & (kSlots - 1);
  }
  entries_[last_slot_] = {last_hash_,
                          static_cast<std::uint32_t>(texts_.size()),
                          static_cast<std::uint32_t>(ids_.size()),
                          static_cast<std::uint16_t>(word.size()),
                          static_cast<std::uint16_t>(ids.size()),
                          true};
  texts_ += word;
  ids_.insert(ids_.end(), ids.begin(), ids.end());
}

}  // namespace mantissa::text
