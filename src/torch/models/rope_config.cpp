#include "torch/models/rope_config.h"

#include <optional>
#include <string>

#include <fmt/format.h>

#include <mantissa/core/error.h>

#include "core/quoted.h"

namespace mantissa {
namespace {

RopeType rope_type(const std::string& word) {
  if (word == "default") return RopeType::Default;
  if (word == "linear") return RopeType::Linear;
  if (word == "llama3") return RopeType::Llama3;
  if (word == "yarn") return RopeType::Yarn;
  throw Error(ErrorKind::Usage,
              fmt::format("config.json: rope type {} is not supported; "
                          "supported: default, linear, llama3, yarn",
                          quoted_name(word)));
}

void refuse_partial(const ConfigFields& fields) {
  const double part = fields.number_or("partial_rotary_factor", 1);
  if (part == 1) return;
  throw Error(ErrorKind::Usage,
              fmt::format("config.json: partial_rotary_factor {} is not "
                          "supported; supported: 1",
                          part));
}

double positive(const ConfigFields& fields, const char* key) {
  const double value = fields.number(key);
  if (value > 0) return value;
  throw Error(
      ErrorKind::Input,
      fmt::format("config.json: {}: expected more than 0, got {}", key, value));
}

void read_yarn(const ConfigFields& fields,
               std::int64_t positions,
               RopeConfig& out) {
  // DeepSeek's spelling: the ratio of the contexts is the factor.
  out.factor = fields.has("factor")
                   ? positive(fields, "factor")
                   : static_cast<double>(positions) / out.original_positions;
  if (fields.has("attention_factor")) {
    out.attention_factor = fields.number("attention_factor");
  }
  out.mscale = fields.number_or("mscale", 0);
  out.mscale_all_dim = fields.number_or("mscale_all_dim", 0);
  if (const double beta = fields.number_or("beta_fast", 0); beta != 0) {
    out.beta_fast = beta;
  }
  if (const double beta = fields.number_or("beta_slow", 0); beta != 0) {
    out.beta_slow = beta;
  }
  out.truncate = fields.flag_or("truncate", true);
}

// One flat set of parameters.
RopeConfig read_parameters(const ConfigFields& fields,
                           double theta,
                           std::int64_t positions) {
  refuse_partial(fields);
  RopeConfig out;
  out.theta = fields.has("rope_theta") ? positive(fields, "rope_theta") : theta;
  out.type =
      rope_type(fields.text_or("rope_type", fields.text_or("type", "default")));
  if (out.type == RopeType::Linear) out.factor = positive(fields, "factor");
  if (out.type == RopeType::Llama3 || out.type == RopeType::Yarn) {
    out.original_positions = static_cast<double>(
        fields.count_or("original_max_position_embeddings", positions));
  }
  if (out.type == RopeType::Llama3) {
    out.factor = positive(fields, "factor");
    out.low_freq_factor = positive(fields, "low_freq_factor");
    out.high_freq_factor = positive(fields, "high_freq_factor");
  }
  if (out.type == RopeType::Yarn) read_yarn(fields, positions, out);
  return out;
}

}  // namespace

RopeConfig read_rope(const ConfigFields& config,
                     double theta,
                     std::int64_t positions) {
  refuse_partial(config);
  const double base =
      config.has("rope_theta") ? positive(config, "rope_theta") : theta;
  // Transformers' order: an old rope_scaling wins over rope_parameters.
  const bool old = config.has("rope_scaling");
  const auto fields = config.object(old ? "rope_scaling" : "rope_parameters");
  if (!fields) return {.theta = base};
  RopeConfig rope = read_parameters(*fields, base, positions);
  // A key of its own in config.json wins over the one among the parameters.
  if (rope.original_positions != 0) {
    rope.original_positions = static_cast<double>(
        config.count_or("original_max_position_embeddings",
                        static_cast<std::int64_t>(rope.original_positions)));
  }
  return rope;
}

std::vector<RopeConfig> read_rope_by_layer(const ConfigFields& config,
                                           std::int64_t positions) {
  constexpr double kFullTheta = 1e6;
  constexpr double kSlidingTheta = 1e4;
  refuse_partial(config);
  RopeConfig full = {.theta = config.number_or("rope_theta", kFullTheta)};
  RopeConfig sliding = {
      .theta = config.number_or("rope_local_base_freq", kSlidingTheta)};
  if (const auto nested = config.object("rope_parameters")) {
    if (nested->has("rope_type") || nested->has("type")) {
      throw Error(ErrorKind::Usage,
                  "config.json: rope_parameters of gemma3_text: expected one "
                  "set under full_attention and one under sliding_attention, "
                  "got one for all layers");
    }
    if (const auto fields = nested->object("full_attention")) {
      full = read_parameters(*fields, full.theta, positions);
    }
    if (const auto fields = nested->object("sliding_attention")) {
      sliding = read_parameters(*fields, sliding.theta, positions);
    }
  }
  if (const auto fields = config.object("rope_scaling")) {
    full = read_parameters(*fields, full.theta, positions);
  }
  return {full, sliding};
}

}  // namespace mantissa
