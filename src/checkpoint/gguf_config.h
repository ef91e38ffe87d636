#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <mantissa/core/dtype.h>

#include "checkpoint/gguf_metadata.h"
#include "checkpoint/gguf_model.h"

namespace mantissa {

/// Ids of special tokens; empty where the file names none.
struct SpecialTokens {
  std::optional<std::int64_t> bos;
  std::optional<std::int64_t> eos;
  std::optional<std::int64_t> pad;
  std::optional<std::int64_t> unknown;
  /// End of turn and end of message, where they differ from `eos`.
  std::vector<std::int64_t> more_ends;
};

/// Reads `tokenizer.ggml.*_token_id`. Throws Error(Input) for an id that is not
/// below `vocabulary`.
SpecialTokens read_special_tokens(const GgufMetadata& metadata,
                                  std::int64_t vocabulary);

/// Text of config.json with weights of `dtype`: of LlamaForCausalLM,
/// MixtralForCausalLM or Qwen3MoeForCausalLM.
std::string model_config_json(const GgufModelShape& shape,
                              const SpecialTokens& tokens,
                              DType dtype);

/// Text of generation_config.json: the special tokens, every end of text in
/// eos_token_id.
std::string generation_config_json(const SpecialTokens& tokens);

}  // namespace mantissa
