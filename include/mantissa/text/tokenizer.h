#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mantissa {

/// The number of a token, from 0.
using TokenId = std::int32_t;

/// How Tokenizer::encode() reads a text.
struct EncodeOptions {
  /// Put around the text what the tokenizer's post-processor puts there (BOS,
  /// EOS, [CLS], [SEP]).
  bool add_special = true;
  /// Recognize special tokens that stand in the text; false reads "<|end|>" as
  /// the characters that it is made of.
  bool parse_special = true;
};

/// How Tokenizer::decode() writes tokens.
struct DecodeOptions {
  bool skip_special = true;  ///< leave special tokens out
};

/// Text to tokens and back. Immutable, cheap to copy, safe to use from several
/// threads at once. Ids and decoded text are those of the library `tokenizers`
/// (0.23) on the same tokenizer.json; its `truncation` and `padding` are not
/// applied. Characters have the properties of Unicode 14 in regular expressions
/// and of Unicode 15 elsewhere.
class Tokenizer {
 public:
  struct Parts;
  explicit Tokenizer(std::shared_ptr<const Parts> parts);

  /// The tokens of a text. Throws Error(Input) when it is not UTF-8, or when a
  /// regular expression of the tokenizer gives up on it.
  std::vector<TokenId> encode(std::string_view text,
                              EncodeOptions options = {}) const;

  /// The text of tokens: well-formed UTF-8, U+FFFD for bytes that are none.
  /// Throws Error(Usage) for an id outside the vocabulary, Error(Input) when a
  /// step of the decoder gives up or makes a text 20 times as long.
  std::string decode(std::span<const TokenId> ids,
                     DecodeOptions options = {}) const;

  /// One more than the largest id, added tokens included: the rows that an
  /// embedding needs at least.
  std::int64_t vocabulary_size() const;

  /// The token as the vocabulary spells it ("\u0120the"); empty for an id that
  /// no token has.
  std::optional<std::string> token_text(TokenId id) const;

  /// The id of a token's spelling.
  std::optional<TokenId> token_id(std::string_view token) const;

  /// True for tokens that the tokenizer declares special.
  bool is_special(TokenId id) const;

  /// The tokens that begin and end a text, if the files name them.
  std::optional<TokenId> bos_id() const;
  std::optional<TokenId> eos_id() const;

  /// Whether encode() with `add_special` puts BOS in front.
  bool adds_bos() const;

 private:
  std::shared_ptr<const Parts> parts_;
};

/// Builds a tokenizer from a `tokenizer.json`, and from the
/// `tokenizer_config.json` beside it (which may be empty), which names BOS and
/// EOS. Models BPE and WordPiece. Throws Error(Input), with the place in the
/// file, for what is malformed, and Error(Usage) for a component that is not
/// supported, with those that are.
Tokenizer read_tokenizer_json(std::string_view tokenizer_json,
                              std::string_view tokenizer_config_json = {});

/// Builds a tokenizer from the bytes of a SentencePiece `tokenizer.model` of
/// type BPE without a normalization map. Throws Error(Usage) for other types
/// (unigram), Error(Input) for what is malformed.
Tokenizer read_sentencepiece_model(std::string_view bytes);

}  // namespace mantissa
