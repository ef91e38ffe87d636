#pragma once

#include <string>
#include <string_view>

namespace mantissa {

/// How `tokenizer.ggml.pre` splits text before the merges.
struct PreTokenizer {
  std::string_view name;        ///< llama.cpp's
  std::string_view normalizer;  ///< the `normalizer` of tokenizer.json
  std::string (*json)();  ///< the `pre_tokenizer` object of tokenizer.json
  bool ignore_merges;     ///< a whole word that is a token wins
  bool adds_bos;          ///< when `add_bos_token` is absent
};

/// The row of a name; null when it is unknown.
const PreTokenizer* find_pre_tokenizer(std::string_view name);

/// "gpt-2, llama-bpe, ...".
std::string pre_tokenizer_names();

}  // namespace mantissa
