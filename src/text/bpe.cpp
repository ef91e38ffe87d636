#include "text/bpe.h"

#include <algorithm>
#include <queue>

#include <fmt/format.h>

#include "text/characters.h"

namespace mantissa::text {
namespace {

constexpr std::string_view kSpaceMark = "\xe2\x96\x81";
// Above, a heap is quicker than looking at all ranks after each merge.
constexpr std::size_t kShortWord = 48;

// A merge that may have become stale.
struct Candidate {
  std::uint32_t rank;
  std::uint32_t at;
  TokenId token;

  bool operator<(const Candidate& other) const {
    return rank != other.rank ? rank > other.rank : at > other.at;
  }
};

constexpr std::uint32_t kEnd = UINT32_MAX;

struct Node {
  TokenId token;
  std::uint32_t previous;
  std::uint32_t next;
};

}  // namespace

Bpe::Bpe(Vocabulary vocabulary, PairTable merges, BpeOptions options)
    : vocabulary_(std::move(vocabulary)),
      merges_(std::move(merges)),
      options_(std::move(options)) {
  for (char32_t c = 0; c < two_bytes_.size(); ++c) {
    std::string bytes;
    append_character(c, bytes);
    two_bytes_[c] = vocabulary_.find(bytes);
  }
  for (std::size_t byte = 0; byte < byte_tokens_.size(); ++byte) {
    byte_tokens_[byte] = vocabulary_.find(fmt::format("<0x{:02X}>", byte));
  }
  plain_ = options_.subword_prefix.empty() && options_.word_suffix.empty();
  splits_ = splits_before_space();
}

// Then no merge reaches over such a place, and words end there: the result is
// the same and the cache has something to do.
bool Bpe::splits_before_space() const {
  if (!plain_ || options_.ignore_merges ||
      vocabulary_.find(kSpaceMark) == kNoToken) {
    return false;
  }
  for (TokenId id = 0; id < vocabulary_.size(); ++id) {
    const std::string* text = vocabulary_.text(id);
    if (text == nullptr) continue;
    std::size_t at = 0;
    while (std::string_view(*text).substr(at).starts_with(kSpaceMark)) {
      at += kSpaceMark.size();
    }
    if (text->find(kSpaceMark, at) != std::string::npos) return false;
  }
  return true;
}

TokenId Bpe::character(std::string_view bytes, bool first, bool last) const {
  if (plain_) {
    const auto at = [&](std::size_t i) {
      return static_cast<unsigned char>(bytes[i]);
    };
    if (bytes.size() == 1) return two_bytes_[at(0)];
    if (bytes.size() == 2)
      return two_bytes_[(at(0) & 0x1fu) << 6 | (at(1) & 0x3fu)];
    return vocabulary_.find(bytes);
  }
  std::string text(first ? "" : options_.subword_prefix);
  text += bytes;
  if (last) text += options_.word_suffix;
  return vocabulary_.find(text);
}

bool Bpe::append_bytes(std::string_view bytes,
                       std::vector<TokenId>& symbols) const {
  const auto token = [&](char byte) {
    return byte_tokens_[static_cast<unsigned char>(byte)];
  };
  for (const char byte : bytes) {
    if (token(byte) == kNoToken) return false;
  }
  for (const char byte : bytes) symbols.push_back(token(byte));
  return true;
}

void Bpe::symbols_of(std::string_view word,
                     std::vector<TokenId>& symbols) const {
  bool pending = false;  // an unknown token that is not appended yet
  for (std::size_t at = 0; at < word.size();) {
    const std::size_t bytes = character_bytes(word[at]);
    const std::string_view text = word.substr(at, bytes);
    const bool last = at + bytes >= word.size();
    const TokenId token = character(text, at == 0, last);
    at += bytes;
    if (token != kNoToken) {
      if (pending) symbols.push_back(options_.unknown);
      pending = false;
      symbols.push_back(token);
      continue;
    }
    if (options_.byte_fallback && append_bytes(text, symbols)) continue;
    if (options_.unknown == kNoToken) continue;
    if (pending && !options_.fuse_unknown) symbols.push_back(options_.unknown);
    pending = true;
  }
  if (pending) symbols.push_back(options_.unknown);
}

void Bpe::merge_short(ModelScratch& scratch) const {
  auto& symbols = scratch.symbols;
  auto& ranks = scratch.ranks;
  const auto rank = [&](std::size_t i) {
    return i + 1 < symbols.size() ? merges_.get(symbols[i], symbols[i + 1]).rank
                                  : Merge::kNone;
  };
  ranks.resize(symbols.size());
  for (std::size_t i = 0; i < symbols.size(); ++i) ranks[i] = rank(i);
  while (true) {
    const auto best = std::min_element(ranks.begin(), ranks.end());
    if (best == ranks.end() || *best == Merge::kNone) return;
    const auto at = static_cast<std::size_t>(best - ranks.begin());
    symbols[at] = merges_.get(symbols[at], symbols[at + 1]).token;
    symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(at) + 1);
    ranks.erase(best + 1);
    ranks[at] = rank(at);
    if (at > 0) ranks[at - 1] = rank(at - 1);
  }
}

void Bpe::merge_long(std::vector<TokenId>& symbols) const {
  std::vector<Node> nodes(symbols.size());
  std::priority_queue<Candidate> heap;
  const auto consider = [&](std::uint32_t at) {
    if (at == kEnd || nodes[at].next == kEnd) return;
    const Merge& merge =
        merges_.get(nodes[at].token, nodes[nodes[at].next].token);
    if (merge.rank != Merge::kNone) heap.push({merge.rank, at, merge.token});
  };
  const auto count = static_cast<std::uint32_t>(symbols.size());
  for (std::uint32_t i = 0; i < count; ++i) {
    nodes[i] = {
        symbols[i], i == 0 ? kEnd : i - 1, i + 1 < count ? i + 1 : kEnd};
  }
  for (std::uint32_t i = 0; i < count; ++i) consider(i);
  while (!heap.empty()) {
    const Candidate best = heap.top();
    heap.pop();
    Node& left = nodes[best.at];
    if (left.token == kNoToken || left.next == kEnd) continue;
    Node& right = nodes[left.next];
    if (merges_.get(left.token, right.token).token != best.token) continue;
    left.token = best.token;
    right.token = kNoToken;
    left.next = right.next;
    if (left.next != kEnd) nodes[left.next].previous = best.at;
    consider(best.at);
    consider(left.previous);
  }
  symbols.clear();
  for (std::uint32_t i = 0; i < count; ++i) {
    if (nodes[i].token != kNoToken) symbols.push_back(nodes[i].token);
  }
}

void Bpe::tokenize_word(std::string_view word,
                        ModelScratch& scratch,
                        std::vector<TokenId>& ids) const {
  const bool cached = word.size() <= WordCache::kLongestWord;
  std::span<const TokenId> known;
  if (cached && scratch.words.find(word, known)) {
    ids.insert(ids.end(), known.begin(), known.end());
    return;
  }
  auto& symbols = scratch.symbols;
  symbols.clear();
  const TokenId whole =
      options_.ignore_merges ? vocabulary_.find(word) : kNoToken;
  if (whole != kNoToken) {
    symbols.push_back(whole);
  } else {
    symbols_of(word, symbols);
    if (symbols.size() <= kShortWord) {
      merge_short(scratch);
    } else {
      merge_long(symbols);
    }
  }
  if (cached) scratch.words.add(word, symbols);
  ids.insert(ids.end(), symbols.begin(), symbols.end());
}

void Bpe::tokenize(std::string_view word,
                   ModelScratch& scratch,
                   std::vector<TokenId>& ids) const {
  if (!splits_) return tokenize_word(word, scratch, ids);
  while (!word.empty()) {
    std::size_t end = 0;
    while (word.substr(end).starts_with(kSpaceMark)) end += kSpaceMark.size();
    end = std::min(word.find(kSpaceMark, end), word.size());
    tokenize_word(word.substr(0, end), scratch, ids);
    word.remove_prefix(end);
  }
}

}  // namespace mantissa::text
