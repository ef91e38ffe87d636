#pragma once

#include <span>
#include <string_view>

namespace mantissa::cli {

/// Bits and quality of a config on the demo model, as `mantissa quantize` and
/// `mantissa diff` measure them (tests/cli/measured_quality_test.cpp does).
struct MeasuredQuality {
  std::string_view short_name;
  std::string_view words;  ///< what stood after -c
  double bits_per_weight;  ///< stored bits of a quantized weight, qparams too
  double sqnr_db;          ///< median over the quantized tensors
  std::string_view on{};   ///< which tensors fit, where not all of them do
};

inline constexpr std::string_view kMeasuredModel =
    "SmolLM2-135M-Instruct (bfloat16, from its Q4_1 GGUF)";

/// All rows.
std::span<const MeasuredQuality> measured_quality();

/// The row of a config, null where nothing was measured.
const MeasuredQuality* find_measured(std::string_view short_name);

}  // namespace mantissa::cli
