#include "text/vocabulary.h"

#include <algorithm>
#include <bit>

#include <fmt/format.h>
#include <xxhash.h>
#include <nlohmann/json.hpp>

#include "core/quoted.h"

namespace mantissa::text {

Vocabulary::Vocabulary(const JsonObject& vocabulary) {
  const auto& members = vocabulary.json().get_ref<const Json::object_t&>();
  const std::size_t limit = members.size() * 4 + 65536;
  for (const auto& [text, json] : members) {
    const TokenId id = token_id_of(json, "tokenizer.json: model.vocab");
    const auto at = static_cast<std::size_t>(id);
    if (at >= limit) {
      vocabulary.fail("",
                      fmt::format("id {} with {} tokens", id, members.size()));
    }
    if (at >= texts_.size()) {
      texts_.resize(at + 1);
      present_.resize(at + 1);
    }
    if (present_[at]) {
      vocabulary.fail("",
                      fmt::format("{} and {} have the same id {}",
                                  quoted_name(texts_[at]),
                                  quoted_name(text),
                                  id));
    }
    texts_[at] = text;
    present_[at] = true;
  }
  index();
}

Vocabulary::Vocabulary(std::vector<std::string> tokens)
    : texts_(std::move(tokens)), present_(texts_.size(), true) {
  index();
}

void Vocabulary::index() {
  slots_.assign(std::bit_ceil(texts_.size() * 2 + 1), kNoToken);
  for (std::size_t id = 0; id < texts_.size(); ++id) {
    if (!present_[id]) continue;
    const std::string& text = texts_[id];
    longest_ = std::max(longest_, text.size());
    std::size_t slot = XXH3_64bits(text.data(), text.size());
    while (slots_[slot &= slots_.size() - 1] != kNoToken) ++slot;
    slots_[slot] = static_cast<TokenId>(id);
  }
}

TokenId Vocabulary::find(std::string_view token) const {
  if (token.size() > longest_ || slots_.empty()) return kNoToken;
  std::size_t slot = XXH3_64bits(token.data(), token.size());
  for (;; ++slot) {
    const TokenId id = slots_[slot &= slots_.size() - 1];
    if (id == kNoToken || texts_[static_cast<std::size_t>(id)] == token) {
      return id;
    }
  }
}

const std::string* Vocabulary::text(TokenId id) const {
  if (id < 0 || id >= size()) return nullptr;
  const auto at = static_cast<std::size_t>(id);
  return present_[at] ? &texts_[at] : nullptr;
}

}  // namespace mantissa::text
