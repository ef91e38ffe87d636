#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "checkpoint/gguf_metadata.h"

namespace mantissa {

// A GGUF tokenizer of model `llama`: SentencePiece BPE, whose tokens have
// scores in place of a list of merges.

/// `tokenizer.ggml.scores`, one for each token. Throws Error(Input) when they
/// are missing, too few or not finite.
std::vector<double> read_scores(const GgufMetadata& metadata,
                                const std::vector<std::string>& tokens);

/// Two tokens whose union is a token: its first `cut` bytes, and the rest.
struct ScoreMerge {
  std::uint32_t token = 0;
  std::uint32_t cut = 0;
};

/// All of them, the best score of a union first; equal scores by its id, then
/// the shorter left half first. Control, unknown and byte tokens (`types`,
/// which may be empty: all normal) take no part. Throws Error(Input) for tokens
/// above 512 bytes and for far more merges than tokens.
std::vector<ScoreMerge> score_merges(const std::vector<std::string>& tokens,
                                     const std::vector<std::int64_t>& types,
                                     const std::vector<double>& scores);

/// The `normalizer` of tokenizer.json: U+2581 in place of every space and, if
/// `prefix`, in front of every text and every part between added tokens.
std::string space_normalizer_json(bool prefix);

/// Its `decoder`: U+2581 to spaces, byte tokens to text, one space less in
/// front if `prefix`.
std::string space_decoder_json(bool prefix);

}  // namespace mantissa
