#include "text/added_tokens.h"

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <mantissa/core/error.h>

#include "core/quoted.h"
#include "text/characters.h"

namespace mantissa::text {
namespace {

// A long token costs its length at every place of a text that looks like it.
constexpr std::size_t kLongestToken = 1024;
constexpr std::size_t kMaxAdded = 1 << 18;
constexpr std::size_t kMaxBytes = std::size_t{1} << 22;  // of all of them

[[noreturn]] void fail(const std::string& what) {
  throw Error(ErrorKind::Input, "tokenizer.json: added_tokens: " + what);
}

// Where the last character of a text that is not empty begins.
std::size_t last_character(std::string_view text) {
  std::size_t at = text.size() - 1;
  while (at > 0 && (static_cast<unsigned char>(text[at]) & 0xc0u) == 0x80u) {
    --at;
  }
  return at;
}

// Characters of words at the edges of a match stand against single_word.
bool ends_with_word(std::string_view text) {
  return !text.empty() &&
         is_word(first_character(text.substr(last_character(text))).code);
}

bool starts_with_word(std::string_view text) {
  return !text.empty() && is_word(first_character(text).code);
}

std::size_t trailing_space(std::string_view text) {
  while (!text.empty()) {
    const std::size_t at = last_character(text);
    if (!is_white_space(first_character(text.substr(at)).code)) break;
    text = text.substr(0, at);
  }
  return text.size();
}

std::size_t leading_space(std::string_view text) {
  std::size_t end = 0;
  while (end < text.size() &&
         is_white_space(first_character(text.substr(end)).code)) {
    end += character_bytes(text[end]);
  }
  return end;
}

}  // namespace

StringSet::StringSet() : nodes_(1) {}

std::uint32_t StringSet::child_of(std::uint32_t node, char byte) const {
  std::uint32_t child = nodes_[node].child;
  while (child != 0 && nodes_[child].byte != byte)
    child = nodes_[child].sibling;
  return child;
}

void StringSet::add(std::string_view text, std::size_t value) {
  std::uint32_t node = 0;
  for (const char byte : text) {
    auto& root = first_[static_cast<unsigned char>(byte)];
    std::uint32_t child = node == 0 ? root : child_of(node, byte);
    if (child == 0) {
      child = static_cast<std::uint32_t>(nodes_.size());
      nodes_.push_back(
          {.sibling = node == 0 ? 0 : nodes_[node].child, .byte = byte});
      if (node == 0) {
        root = child;
      } else {
        nodes_[node].child = child;
      }
    }
    node = child;
  }
  if (node != 0) nodes_[node].value = static_cast<std::uint32_t>(value);
}

std::size_t StringSet::longest(std::string_view text,
                               std::size_t& value) const {
  std::size_t length = 0;
  std::uint32_t node = first_[static_cast<unsigned char>(text[0])];
  for (std::size_t i = 1; node != 0; ++i) {
    if (nodes_[node].value != kNoValue) {
      value = nodes_[node].value;
      length = i;
    }
    node = i < text.size() ? child_of(node, text[i]) : 0;
  }
  return length;
}

AddedTokens::AddedTokens(std::vector<AddedToken> tokens,
                         const Vocabulary& model,
                         const Normalizer* normalizer)
    : tokens_(std::move(tokens)) {
  std::size_t bytes = 0;
  for (const AddedToken& token : tokens_) bytes += token.content.size();
  const RegexBudget budget(bytes);
  bytes = 0;
  for (std::size_t i = 0; i < tokens_.size(); ++i) {
    AddedToken& token = tokens_[i];
    const std::string* same_id = model.text(token.id);
    const TokenId same_text = model.find(token.content);
    if ((same_id != nullptr && *same_id != token.content) ||
        (same_text != kNoToken && same_text != token.id) ||
        !by_id_.emplace(token.id, i).second ||
        !by_content_.emplace(token.content, i).second) {
      fail(fmt::format("id {} for {} contradicts another token",
                       token.id,
                       quoted_name(token.content)));
    }
    std::string content = token.content;
    if (token.normalized && normalizer != nullptr) normalizer->apply(content);
    if (content.size() > kLongestToken) {
      fail(fmt::format("{} has {} bytes, at most {}",
                       quoted_name(content),
                       content.size(),
                       kLongestToken));
    }
    bytes += content.size();
    if (bytes > kMaxBytes) {
      fail(fmt::format("more than {} bytes in all", kMaxBytes));
    }
    const std::size_t set = token.normalized ? 1 : 0;
    sets_[set].add(content, i);
    token.shown = std::move(content);
    ++counts_[set];
    size_ = std::max<std::int64_t>(size_, token.id + 1);
  }
}

std::vector<AddedTokens::Part> AddedTokens::split(std::string_view text,
                                                  bool normalized,
                                                  bool parse_special) const {
  const StringSet& set = sets_[normalized ? 1 : 0];
  std::vector<Part> parts;
  std::size_t done = 0;
  for (std::size_t at = 0; at < text.size();) {
    std::size_t index = 0;
    const std::size_t length = set.longest(text.substr(at), index);
    if (length == 0) {
      ++at;
      continue;
    }
    const AddedToken& token = tokens_[index];
    std::size_t begin = at;
    std::size_t end = at + length;
    at = end;
    if (token.special && !parse_special) continue;
    if (token.single_word && (ends_with_word(text.substr(0, begin)) ||
                              starts_with_word(text.substr(end)))) {
      continue;
    }
    if (token.lstrip) {
      begin = std::max(trailing_space(text.substr(0, begin)), done);
    }
    if (token.rstrip) end += leading_space(text.substr(end));
    if (done < begin) parts.push_back({{done, begin}, kNoToken});
    parts.push_back({{begin, end}, token.id});
    done = end;
  }
  if (done < text.size()) parts.push_back({{done, text.size()}, kNoToken});
  return parts;
}

const AddedToken* AddedTokens::find(TokenId id) const {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : &tokens_[found->second];
}

TokenId AddedTokens::find(std::string_view content) const {
  const auto found = by_content_.find(std::string(content));
  return found == by_content_.end() ? kNoToken : tokens_[found->second].id;
}

std::vector<AddedToken> read_added_tokens(const JsonObject& file) {
  std::vector<AddedToken> tokens;
  const Json* array = file.find("added_tokens");
  if (array == nullptr) return tokens;
  if (!array->is_array() || array->size() > kMaxAdded) {
    fail(fmt::format("expected an array of at most {}", kMaxAdded));
  }
  for (const Json& json : *array) {
    const JsonObject object(json, "tokenizer.json: added_tokens");
    const Json* id = object.find("id");
    if (id == nullptr) object.fail("id", "missing");
    AddedToken token{.id = token_id_of(*id, "tokenizer.json: added_tokens.id"),
                     .content = object.text("content"),
                     .single_word = object.flag_or("single_word", false),
                     .lstrip = object.flag_or("lstrip", false),
                     .rstrip = object.flag_or("rstrip", false),
                     .special = object.flag_or("special", false)};
    token.normalized = object.flag_or("normalized", !token.special);
    if (!token.content.empty()) tokens.push_back(std::move(token));
  }
  return tokens;
}

}  // namespace mantissa::text
