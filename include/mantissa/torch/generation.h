#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include <mantissa/checkpoint/source.h>
#include <mantissa/core/api.h>
#include <mantissa/torch/sampling.h>

namespace mantissa {

class Decoder;
class KvCache;

/// Why a generation ended.
enum class GenerationEnd {
  StopToken,    ///< the model said so
  MaxTokens,    ///< max_new_tokens were made
  ContextFull,  ///< the cache holds no more positions
  Interrupted,  ///< `interrupted` or `on_token` said so
};

/// How to generate.
struct GenerationOptions {
  SamplingOptions sampling = {};
  std::int64_t max_new_tokens = 256;
  /// Tokens that end the answer; they are not part of it.
  std::vector<std::int64_t> stop_tokens = {};
  /// Asked before every block of the prompt and every token: Ctrl-C.
  std::function<bool()> interrupted = {};
  /// Called with every new token; false ends the answer after it.
  std::function<bool(std::int64_t)> on_token = {};
  /// Tokens of a conversation that the cache holds already: the repetition
  /// penalty counts them.
  std::vector<std::int64_t> history = {};
  /// Only ids below it are drawn: models pad their vocabulary beyond that of
  /// the tokenizer. 0: all of the model's.
  std::int64_t vocabulary = 0;
};

/// What was generated and how long it took.
struct Generation {
  std::vector<std::int64_t> tokens;  ///< without prompt and stop token
  GenerationEnd end = GenerationEnd::MaxTokens;
  std::int64_t prompt_tokens = 0;
  std::int64_t decode_steps = 0;  ///< forward passes of one token
  double prompt_seconds = 0;      ///< until the first token is known
  double decode_seconds = 0;
};

/// Continues a prompt, which follows what the cache (batch 1) holds; prompt and
/// answer stay in the cache, ready for a next turn. Throws Error(Usage) for an
/// empty prompt, one that the cache does not hold with one token more, and
/// sampling options outside their range; NonfiniteError as Sampler does.
MANTISSA_API Generation generate(Decoder& model,
                                 KvCache& cache,
                                 std::span<const std::int64_t> prompt,
                                 const GenerationOptions& options = {});

/// The ids that end an answer: eos_token_id of generation_config.json, else of
/// config.json; a number or a list. Throws Error(Input) for another value.
MANTISSA_API std::vector<std::int64_t> stop_tokens_of(
    const CheckpointSource& source);

}  // namespace mantissa
