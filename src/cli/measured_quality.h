#pragma once

#include <span>
#include <string_view>

namespace mantissa::cli {

/// Bits and quality of a config on the demo model, as `mantissa quantize` and
/// `mantissa diff` measure them (tests/cli/measured_quality_test.cpp does), and
/// what docs/benchmarks/quality.md shows of it too.
struct MeasuredQuality {
  std::string_view short_name;
  std::string_view words;  ///< what stood after -c
  double bits_per_weight;  ///< stored bits of a quantized weight, qparams too
  double sqnr_db;          ///< median over the quantized tensors
  double megabytes;        ///< the file of weights of kPerplexityModel, / 10^6
  double perplexity;       ///< of kPerplexityText by kPerplexityModel
  double kl_divergence;    ///< from the unquantized model, nats a token
  int decode_tok_s[2];     ///< with 1 and 2 threads of kDecodeMachine
  std::string_view on{};   ///< which tensors fit, where not all of them do
};

/// A file of kPerplexityModel that no config alone makes, or llama.cpp's of
/// about its size; as docs/benchmarks/quality.md.
struct MeasuredFile {
  std::string_view made_by;  ///< words of `mantissa quantize`, or llama.cpp's
  double megabytes;
  double bits_per_weight;
  double perplexity;
  double kl_divergence;
  int decode_tok_s[2];
};

inline constexpr std::string_view kMeasuredModel =
    "SmolLM2-135M-Instruct (bfloat16, from its Q4_1 GGUF)";

/// Of what the perplexities are, and by which model: its weights lie on no
/// 4-bit grid, which the Q4_1 file that it was made from would favour.
inline constexpr std::string_view kPerplexityText =
    "40 windows of 512 tokens of wikitext-2";
inline constexpr std::string_view kPerplexityModel =
    "SmolLM2-135M-Instruct with its channels permuted";
inline constexpr std::string_view kPerplexityCompute = "int8-g32";
inline constexpr double kUnquantizedPerplexity = 18.970;
inline constexpr std::string_view kDecodeMachine =
    "2 cores of an AMD EPYC (Zen 4)";

/// All rows.
std::span<const MeasuredQuality> measured_quality();

std::span<const MeasuredFile> measured_files();

/// The row of a config, null where nothing was measured.
const MeasuredQuality* find_measured(std::string_view short_name);

}  // namespace mantissa::cli
