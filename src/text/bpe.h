#pragma once

#include <array>
#include <memory>
#include <string>

#include "text/model.h"
#include "text/pair_table.h"

namespace mantissa::text {

/// What a BPE model does besides merging.
struct BpeOptions {
  TokenId unknown = kNoToken;       ///< for characters without a token
  bool fuse_unknown = false;        ///< one token for a run of them
  bool byte_fallback = false;       ///< tokens <0x00> ... before `unknown`
  bool ignore_merges = false;       ///< a whole word that is a token wins
  std::string subword_prefix = {};  ///< of every character but the first
  std::string word_suffix = {};     ///< of the last character
};

/// Byte pair encoding: merges the neighbours of the least rank, the leftmost
/// first, until none is left. In time n log n for long words.
class Bpe final : public Model {
 public:
  Bpe(Vocabulary vocabulary, PairTable merges, BpeOptions options);

  void tokenize(std::string_view word,
                ModelScratch& scratch,
                std::vector<TokenId>& ids) const override;
  const Vocabulary& vocabulary() const override { return vocabulary_; }
  const PairTable& merges() const { return merges_; }

 private:
  void tokenize_word(std::string_view word,
                     ModelScratch& scratch,
                     std::vector<TokenId>& ids) const;
  void symbols_of(std::string_view word, std::vector<TokenId>& symbols) const;
  TokenId character(std::string_view bytes, bool first, bool last) const;
  bool append_bytes(std::string_view bytes,
                    std::vector<TokenId>& symbols) const;
  void merge_short(ModelScratch& scratch) const;
  void merge_long(std::vector<TokenId>& symbols) const;
  bool splits_before_space() const;

  Vocabulary vocabulary_;
  PairTable merges_;
  BpeOptions options_;
  std::array<TokenId, 0x800> two_bytes_{};  // characters below U+0800
  std::array<TokenId, 256> byte_tokens_{};
  bool plain_ = true;    // no prefix, no suffix
  bool splits_ = false;  // no token has U+2581 behind another character
};

/// Reads `model` of type BPE. Throws Error(Input) for merges of unknown tokens.
std::unique_ptr<Model> read_bpe(const JsonObject& object);

/// Reads `model` of type WordPiece (word_piece.cpp).
std::unique_ptr<Model> read_word_piece(const JsonObject& object);

}  // namespace mantissa::text
