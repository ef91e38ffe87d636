#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <mantissa/text/tokenizer.h>

#include "text/json_object.h"

namespace mantissa::text {

/// No token.
inline constexpr TokenId kNoToken = -1;

/// The tokens of a model by id and by spelling. Ids may have gaps.
class Vocabulary {
 public:
  Vocabulary() = default;
  /// From a JSON object of spellings and ids. Throws Error(Input) for ids that
  /// are none, that are used twice or that lie outside 4 times the tokens.
  explicit Vocabulary(const JsonObject& vocabulary);
  /// From spellings by id, each present once.
  explicit Vocabulary(std::vector<std::string> tokens);

  TokenId find(std::string_view token) const;
  /// Null for a gap and outside.
  const std::string* text(TokenId id) const;
  /// One more than the largest id.
  std::int64_t size() const { return static_cast<std::int64_t>(texts_.size()); }
  std::size_t longest() const { return longest_; }

 private:
  void index();

  std::vector<std::string> texts_;
  std::vector<bool> present_;
  std::vector<TokenId> slots_;  // open addressing
  std::size_t longest_ = 0;
};

}  // namespace mantissa::text
