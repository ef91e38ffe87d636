#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <mantissa/text/tokenizer.h>

namespace mantissa {

/// A vocabulary whose merges follow from scores, as a GGUF of tokenizer model
/// `llama` or a SentencePiece model of type BPE holds it.
struct ScoreVocabulary {
  /// What a token is; the numbers are those of both file formats.
  enum class Kind : std::int32_t {
    Normal = 1,
    Unknown = 2,
    Control = 3,
    UserDefined = 4,
    Unused = 5,
    Byte = 6,
  };
  struct Token {
    std::string text;  ///< U+2581 stands for a space; bytes are "<0x0A>"
    float score = 0;   ///< the best score is merged first
    Kind kind = Kind::Normal;
  };
  std::vector<Token> tokens;  ///< by id
  std::optional<TokenId> unknown;
  std::optional<TokenId> bos;
  std::optional<TokenId> eos;
  bool add_space_prefix = true;
  bool add_bos = true;
  bool add_eos = false;
};

/// Builds the tokenizer of a score vocabulary. A text, and every part of it
/// between added tokens, gets a space in front if `add_space_prefix`; then the
/// adjacent pair whose union has the best score is merged, the leftmost first,
/// until none is left; characters without a token become byte tokens. Throws
/// Error(Input) for repeated, empty, ill-formed or very long tokens and for ids
/// outside the vocabulary.
Tokenizer make_score_tokenizer(const ScoreVocabulary& vocabulary);

}  // namespace mantissa
