#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "text/normalizer.h"
#include "text/pieces.h"
#include "text/vocabulary.h"

namespace mantissa::text {

/// A token that is found in the text before the model sees it.
struct AddedToken {
  TokenId id = kNoToken;
  std::string content;
  bool single_word = false;
  bool lstrip = false;
  bool rstrip = false;
  bool normalized = false;
  bool special = false;
  std::string shown{};  ///< what decoding makes of it: normalized content
};

/// Finds the longest of many strings at each place.
class StringSet {
 public:
  StringSet();
  void add(std::string_view text, std::size_t value);
  /// The longest string at the front of `text`: its length, or 0.
  std::size_t longest(std::string_view text, std::size_t& value) const;

 private:
  static constexpr std::uint32_t kNoValue = UINT32_MAX;
  struct Node {
    std::uint32_t value = kNoValue;
    std::uint32_t child = 0;    // first child, 0 for none
    std::uint32_t sibling = 0;  // 0 for none
    char byte = 0;
  };
  std::uint32_t child_of(std::uint32_t node, char byte) const;

  std::vector<Node> nodes_;
  std::array<std::uint32_t, 256> first_{};  // children of the root
};

/// The added tokens of a tokenizer.
class AddedTokens {
 public:
  /// A part of a text: an added token, or text between (kNoToken).
  struct Part : Span {
    TokenId token = kNoToken;
  };

  AddedTokens() = default;
  /// Throws Error(Input) for contradictions with each other or the model.
  AddedTokens(std::vector<AddedToken> tokens,
              const Vocabulary& model,
              const Normalizer* normalizer);

  /// Cuts raw text at tokens that are not normalized, or normalized text at
  /// those that are. `parse_special` false leaves special tokens alone.
  std::vector<Part> split(std::string_view text,
                          bool normalized,
                          bool parse_special) const;

  /// Null when no added token has this id.
  const AddedToken* find(TokenId id) const;
  TokenId find(std::string_view content) const;
  bool empty(bool normalized) const { return counts_[normalized ? 1 : 0] == 0; }
  std::int64_t size() const { return size_; }

 private:
  std::vector<AddedToken> tokens_;
  std::unordered_map<TokenId, std::size_t> by_id_;
  std::unordered_map<std::string, std::size_t> by_content_;
  std::array<StringSet, 2> sets_;
  std::array<std::size_t, 2> counts_{};
  std::int64_t size_ = 0;  // one more than the largest id
};

/// Reads the array `added_tokens` of tokenizer.json.
std::vector<AddedToken> read_added_tokens(const JsonObject& file);

}  // namespace mantissa::text
