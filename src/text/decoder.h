#pragma once

#include <memory>
#include <string>
#include <vector>

#include "text/json_object.h"

namespace mantissa::text {

/// One step of `tokenizer.json`'s decoder: rewrites the list of tokens, whose
/// parts are joined in the end.
class Decoder {
 public:
  virtual ~Decoder() = default;
  /// Throws Error(Input) when a pattern gives up or the text would grow beyond
  /// reason.
  virtual void apply(std::vector<std::string>& tokens) const = 0;
};

/// The bytes of all tokens, and one more for each.
std::size_t bytes_of(const std::vector<std::string>& tokens);

/// Reads the object `decoder`. Throws Error(Usage) for one that is not
/// supported, naming it and those that are.
std::unique_ptr<Decoder> read_decoder(const JsonObject& object);

/// U+2581 to spaces, byte tokens to text, and one space less in front.
std::unique_ptr<Decoder> make_space_decoder(bool prefix);

/// Steps that look at each token for itself (token_decoders.cpp): Replace,
/// Strip, WordPiece, Metaspace, BPEDecoder; null for another type.
std::unique_ptr<Decoder> read_token_decoder(const JsonObject& object);
std::unique_ptr<Decoder> make_replace_decoder(std::string from, std::string to);
std::unique_ptr<Decoder> make_strip_decoder(char32_t content,
                                            std::size_t start,
                                            std::size_t stop);

}  // namespace mantissa::text
