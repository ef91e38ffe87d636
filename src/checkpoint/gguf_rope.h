#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "checkpoint/gguf_keys.h"

namespace mantissa {

/// How positions enter attention, in the terms of config.json.
struct RopeParameters {
  enum class Type { Default, Linear, Yarn, Llama3 };
  Type type = Type::Default;
  double theta = 10000.0;
  double factor = 1.0;                  ///< all but Default
  std::int64_t original_positions = 0;  ///< Yarn, Llama3
  double low_freq_factor = 1.0;         ///< Llama3
  double high_freq_factor = 4.0;        ///< Llama3
};

/// "default", "linear", "yarn", "llama3".
std::string_view rope_type_name(RopeParameters::Type type);

/// Reads `rope.freq_base`, `rope.scaling.*` and `rope.scale_linear`. Throws
/// Error(Usage) for a scaling that config.json cannot say, naming the key: it
/// is never dropped.
RopeParameters read_rope(const GgufKeys& keys);

/// Recognizes the factors of a `rope_freqs.weight` tensor (one per frequency,
/// `head_dim / 2` of them) as Llama 3's scaling or as no scaling at all. Throws
/// Error(Usage) for any other factors and for factors on top of a scaling.
void apply_rope_factors(std::span<const float> factors,
                        std::int64_t head_dim,
                        RopeParameters& rope);

}  // namespace mantissa
