#pragma once

#include <string>
#include <vector>

#include <mantissa/text/tokenizer.h>

namespace mantissa {

/// Decodes tokens one by one, as they are generated. What comes out is always
/// well-formed UTF-8: a character whose bytes are spread over several tokens
/// comes out with the last of them.
class DecodeStream {
 public:
  explicit DecodeStream(Tokenizer tokenizer, DecodeOptions options = {});

  /// The text that this token completes; may be empty. Throws Error(Usage) for
  /// an id outside the vocabulary.
  std::string push(TokenId id);

  /// What is still held back, U+FFFD for bytes that form no character.
  std::string finish();

 private:
  std::string take(std::string_view text);

  Tokenizer tokenizer_;
  DecodeOptions options_;
  std::vector<TokenId> ids_;  // context that is out, then what is held back
  std::size_t shown_ = 0;     // ids whose text is out
  std::string context_;       // the text of those
};

}  // namespace mantissa
