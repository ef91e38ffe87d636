#include "checkpoint/gguf_rope.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <string_view>

#include <fmt/format.h>

#include <mantissa/core/error.h>

#include "core/quoted.h"

namespace mantissa {
namespace {

constexpr std::string_view kScaling = "rope.scaling.";
// What every Llama 3 model has; its GGUF stores the resulting factors only.
constexpr std::int64_t kLlama3Positions = 8192;
constexpr double kLlama3Low = 1.0;
constexpr double kLlama3High = 4.0;
// The factors are float32 values of a formula computed in float32 or float64.
constexpr double kFactorTolerance = 1e-5;

[[noreturn]] void refuse(std::string_view subject, const std::string& what) {
  throw Error(ErrorKind::Usage,
              fmt::format("GGUF {}: {}; this version translates rope scaling "
                          "of type none, linear, yarn (factor and "
                          "original_context_length only) and the factors of "
                          "Llama 3",
                          subject,
                          what));
}

[[noreturn]] void refuse_key(const GgufKeys& keys,
                             std::string_view key,
                             const std::string& what) {
  refuse(fmt::format("key {}", quoted_name(keys.spelled(key))), what);
}

// Every key under rope.scaling must be one that is understood.
void refuse_unknown_keys(const GgufKeys& keys) {
  constexpr std::array<std::string_view, 4> kKnown = {
      "type", "factor", "original_context_length", "finetuned"};
  const std::string scaling = keys.spelled(kScaling);
  for (const GgufMetadata::Pair& pair : keys.metadata().pairs()) {
    if (!pair.key.starts_with(scaling)) continue;
    const std::string_view name =
        std::string_view(pair.key).substr(scaling.size());
    if (std::find(kKnown.begin(), kKnown.end(), name) == kKnown.end()) {
      refuse_key(keys, "rope.scaling." + std::string(name), "not understood");
    }
  }
}

double scaling_factor(const GgufKeys& keys) {
  const auto factor = keys.number("rope.scaling.factor");
  const auto linear = keys.number("rope.scale_linear");
  const double value = factor.value_or(linear.value_or(1.0));
  if (!std::isfinite(value) || value < 0) {
    refuse_key(keys,
               "rope.scaling.factor",
               fmt::format("expected a number >= 0, found {}", value));
  }
  return value == 0 ? 1.0 : value;  // zero says "no scaling" in these files
}

double llama3_factor(double frequency, double factor) {
  const double wavelength = 2 * std::numbers::pi / frequency;
  if (wavelength < kLlama3Positions / kLlama3High) return 1.0;
  if (wavelength > kLlama3Positions / kLlama3Low) return factor;
  const double smooth =
      (kLlama3Positions / wavelength - kLlama3Low) / (kLlama3High - kLlama3Low);
  return 1.0 / ((1.0 - smooth) / factor + smooth);
}

}  // namespace

std::string_view rope_type_name(RopeParameters::Type type) {
  constexpr std::string_view kNames[] = {"default", "linear", "yarn", "llama3"};
  return kNames[static_cast<std::size_t>(type)];
}

RopeParameters read_rope(const GgufKeys& keys) {
  refuse_unknown_keys(keys);
  RopeParameters rope;
  rope.theta = keys.number("rope.freq_base").value_or(rope.theta);
  if (!std::isfinite(rope.theta) || rope.theta <= 0) {
    throw Error(ErrorKind::Input,
                fmt::format("GGUF key {}: expected a number > 0, found {}",
                            quoted_name(keys.spelled("rope.freq_base")),
                            rope.theta));
  }
  const std::string* named = keys.string("rope.scaling.type");
  const std::string type = named != nullptr ? *named : "linear";
  rope.factor = scaling_factor(keys);
  if (type == "none" || (type == "linear" && rope.factor == 1.0)) {
    rope.factor = 1.0;
  } else if (type == "linear") {
    rope.type = RopeParameters::Type::Linear;
  } else if (type == "yarn") {
    const auto original = keys.integer("rope.scaling.original_context_length");
    if (!original || *original < 1) {
      refuse_key(
          keys, "rope.scaling.type", "yarn without original_context_length");
    }
    rope.type = RopeParameters::Type::Yarn;
    rope.original_positions = *original;
  } else {
    refuse_key(
        keys, "rope.scaling.type", fmt::format("found {}", quoted_name(type)));
  }
  return rope;
}

void apply_rope_factors(std::span<const float> factors,
                        std::int64_t head_dim,
                        RopeParameters& rope) {
  constexpr std::string_view kTensor = "tensor \"rope_freqs.weight\"";
  if (static_cast<std::int64_t>(factors.size()) != head_dim / 2) {
    throw Error(ErrorKind::Input,
                fmt::format("GGUF {}: expected [{}] (half of the head), found "
                            "[{}]",
                            kTensor,
                            head_dim / 2,
                            factors.size()));
  }
  const auto is_one = [](float factor) { return factor == 1.0f; };
  if (std::all_of(factors.begin(), factors.end(), is_one)) return;
  if (rope.type != RopeParameters::Type::Default) {
    refuse(kTensor, "factors on top of a rope scaling");
  }
  const double factor = factors.back();
  for (std::size_t i = 0; i < factors.size(); ++i) {
    const double frequency =
        std::pow(rope.theta,
                 -2.0 * static_cast<double>(i) / static_cast<double>(head_dim));
    const double expected = llama3_factor(frequency, factor);
    if (!(std::abs(factors[i] - expected) <= kFactorTolerance * expected)) {
      refuse(kTensor,
             fmt::format("factor {} is {}, Llama 3's scaling by {} has {}",
                         i,
                         factors[i],
                         factor,
                         expected));
    }
  }
  rope.type = RopeParameters::Type::Llama3;
  rope.factor = factor;
  rope.original_positions = kLlama3Positions;
  rope.low_freq_factor = kLlama3Low;
  rope.high_freq_factor = kLlama3High;
}

}  // namespace mantissa
