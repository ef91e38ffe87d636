#pragma once

#include <cstdint>
#include <string>

#include "checkpoint/gguf_config.h"
#include "checkpoint/gguf_metadata.h"

namespace mantissa {

/// A tokenizer of a GGUF file as the two files that Transformers reads.
struct GgufTokenizer {
  std::string tokenizer_json;
  std::string tokenizer_config_json;
};

/// Translates a byte-level BPE tokenizer (`tokenizer.ggml.model` = gpt2) whose
/// pre-tokenizer `tokenizer.ggml.pre` is known, or a SentencePiece BPE with
/// scores (= llama), whose merges follow from them. `vocabulary` is the number
/// of embedding rows, `positions` the context length. Throws Error(Usage) with
/// the list of what is supported, Error(Input) for tokens, merges, scores or
/// types that contradict each other.
GgufTokenizer read_tokenizer(const GgufMetadata& metadata,
                             const SpecialTokens& special,
                             std::int64_t vocabulary,
                             std::int64_t positions);

}  // namespace mantissa
