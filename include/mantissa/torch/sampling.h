#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <mantissa/core/api.h>

namespace mantissa {

/// How the next token is drawn from logits.
struct SamplingOptions {
  double temperature = 1;         ///< 0: always the most likely token
  std::int64_t top_k = 0;         ///< keep the k best; 0: all
  double top_p = 1;               ///< keep the fewest whose sum reaches p
  double min_p = 0;               ///< keep those of at least p * the best
  double repetition_penalty = 1;  ///< of tokens seen; 1: none
  std::uint64_t seed = 0;
};

/// Draws tokens. The order is that of Transformers: repetition penalty
/// (arXiv:1909.05858), temperature, top-k, top-p, min-p, softmax; the random
/// number of draw n is Philox4x32-10 (Salmon et al. 2011) of the counter n
/// under the key `seed`, so that a run repeats whatever ran before it.
class MANTISSA_API Sampler {
 public:
  /// Throws Error(Usage) for a value outside its range, naming it.
  explicit Sampler(const SamplingOptions& options);

  /// Probabilities of all tokens [vocabulary] after `seen` (prompt and output).
  /// With temperature 0 the best token, the first of equals, has 1. Throws
  /// NonfiniteError where no logit is finite.
  std::vector<double> probabilities(std::span<const float> logits,
                                    std::span<const std::int64_t> seen) const;
  /// Draws the next token.
  std::int64_t next(std::span<const float> logits,
                    std::span<const std::int64_t> seen);

 private:
  SamplingOptions options_;
  std::uint64_t draws_ = 0;
};

/// The uniform number in [0, 1) of a counter under a key: 53 bits of
/// Philox4x32-10.
MANTISSA_API double philox_uniform(std::uint64_t key, std::uint64_t counter);

}  // namespace mantissa
