#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>

#include <c10/core/ScalarType.h>

#include <mantissa/core/api.h>

namespace mantissa {

class Decoder;
struct DecoderConfig;

/// Which tokens of a window count.
enum class ScoredTokens {
  /// Those that have at least half of the window before them, as llama.cpp's
  /// llama-perplexity: token j of a window of W if j > W / 2.
  SecondHalf,
  Full,  ///< all but the first of each window
};

/// How to measure.
struct PerplexityOptions {
  std::int64_t context = 512;  ///< tokens of a window; at least 2
  std::int64_t windows = 0;    ///< the first so many; 0: all whole ones
  ScoredTokens scored = ScoredTokens::SecondHalf;
  std::int64_t batch = 4;  ///< windows in one pass
  /// Keys and values pass through a cache of this dtype (KvCache), whose
  /// rounding then counts; empty: no cache. The reference has none.
  std::optional<c10::ScalarType> cache_dtype = {};
  /// Replaces the first token of every window, where the tokenizer adds one.
  std::optional<std::int64_t> bos = {};
  /// Called after each pass with windows done and to do, and the perplexity so
  /// far.
  std::function<void(std::int64_t, std::int64_t, double)> progress = {};
  /// Asked before each pass: Ctrl-C. What is done by then counts.
  std::function<bool()> interrupted = {};
};

/// What was measured.
struct PerplexityResult {
  double nll = 0;         ///< mean negative log likelihood of a token, in nats
  double perplexity = 1;  ///< exp(nll)
  double standard_error = 0;  ///< of nll, tokens taken as independent
  std::int64_t tokens_scored = 0;
  std::int64_t windows = 0;        ///< done
  std::int64_t asked_windows = 0;  ///< to do, all done unless interrupted
  bool interrupted = false;
  /// Against the reference, means over the scored tokens: KL(reference ||
  /// model) in nats, and how often both like the same token best.
  std::optional<double> kl_divergence = {};
  std::optional<double> top1_agreement = {};
};

/// Throws what perplexity() throws for a text of so many tokens, before a
/// weight is read.
MANTISSA_API void check_perplexity(const DecoderConfig& model,
                                   std::int64_t tokens,
                                   const PerplexityOptions& options = {},
                                   const DecoderConfig* reference = nullptr);

/// Perplexity of token ids in windows of `context` tokens without overlap; what
/// is left behind the last whole window is not used. Log likelihoods and sums
/// are float64. Throws Error(Usage) for fewer tokens than one window, a window
/// beyond the model's positions, and a reference with another vocabulary;
/// NonfiniteError, after the pass that shows it, where the model's chances or
/// the reference's are no finite numbers.
MANTISSA_API PerplexityResult perplexity(Decoder& model,
                                         std::span<const std::int64_t> tokens,
                                         const PerplexityOptions& options = {},
                                         Decoder* reference = nullptr);

}  // namespace mantissa
