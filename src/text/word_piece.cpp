#include <algorithm>

#include "core/quoted.h"
#include "text/bpe.h"
#include "text/characters.h"

namespace mantissa::text {
namespace {

// BERT's model: the longest token at the front, then the longest "##" tokens.
class WordPiece final : public Model {
 public:
  explicit WordPiece(const JsonObject& object)
      : vocabulary_(object.object("vocab")),
        prefix_(object.text_or("continuing_subword_prefix", "##")),
        longest_(static_cast<std::size_t>(
            object.number_or("max_input_chars_per_word", 10'000, 100))) {
    const std::string unknown = object.text_or("unk_token", "[UNK]");
    unknown_ = vocabulary_.find(unknown);
    if (unknown_ == kNoToken) {
      object.fail("unk_token", quoted_name(unknown) + " is no token");
    }
  }

  void tokenize(std::string_view word,
                ModelScratch& scratch,
                std::vector<TokenId>& ids) const override {
    const bool cached = word.size() <= WordCache::kLongestWord;
    std::span<const TokenId> known;
    if (!cached || !scratch.words.find(word, known)) {
      cut(word, scratch.symbols);
      known = scratch.symbols;
      if (cached) scratch.words.add(word, known);
    }
    ids.insert(ids.end(), known.begin(), known.end());
  }

  const Vocabulary& vocabulary() const override { return vocabulary_; }

 private:
  void cut(std::string_view word, std::vector<TokenId>& symbols) const {
    symbols.clear();
    std::size_t characters = 0;
    for_each_character(word, [&](char32_t, std::string_view) { ++characters; });
    std::string token;
    while (!word.empty() && characters <= longest_) {
      token = symbols.empty() ? "" : prefix_;
      const std::size_t start = token.size();
      std::size_t length = std::min(word.size(), vocabulary_.longest());
      token += word.substr(0, length);
      TokenId id = kNoToken;
      for (; length > 0; --length) {
        token.resize(start + length);
        id = vocabulary_.find(token);
        if (id != kNoToken) break;
      }
      if (id == kNoToken) break;
      symbols.push_back(id);
      word.remove_prefix(length);
    }
    if (!word.empty()) symbols.assign(1, unknown_);
  }

  Vocabulary vocabulary_;
  std::string prefix_;
  std::size_t longest_;
  TokenId unknown_ = kNoToken;
};

}  // namespace

std::unique_ptr<Model> read_word_piece(const JsonObject& object) {
  return std::make_unique<WordPiece>(object);
}

}  // namespace mantissa::text
