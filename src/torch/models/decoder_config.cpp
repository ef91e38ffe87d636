#include <mantissa/torch/decoder_config.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <mantissa/core/error.h>

#include "checkpoint/architectures.h"
#include "checkpoint/bounded_json.h"
#include "core/quoted.h"
#include "torch/models/config_fields.h"
#include "torch/models/decoder_families.h"
#include "torch/models/rope_config.h"

namespace mantissa {
namespace {

[[noreturn]] void refuse(const std::string& what) {
  throw Error(ErrorKind::Usage, "config.json: " + what);
}

const DecoderFamily& find_family(const std::string& model_type) {
  for (const DecoderFamily& row : decoder_family_rows()) {
    if (row.model_type == model_type) return row;
  }
  const std::string supported =
      fmt::format("{}", fmt::join(decoder_families(), ", "));
  if (model_type == "gemma3") {
    refuse(
        "model_type gemma3 is the multimodal Gemma 3, which is not supported. "
        "Remedy: save its language model alone as Gemma3ForCausalLM "
        "(model_type gemma3_text). Supported: " +
        supported);
  }
  refuse(
      fmt::format("model_type {} is not supported as a decoder; supported: "
                  "{}",
                  quoted_name(model_type),
                  supported));
}

// A class with a language model head of this family.
std::string find_class(const ConfigFields& fields,
                       const std::string& model_type) {
  const std::vector<std::string> names = fields.texts("architectures");
  const Architecture* head = find_architecture("", model_type);
  if (head == nullptr) refuse("no class for model_type " + model_type);
  if (names.empty()) return std::string(head->name);
  if (names.front() == head->name) return names.front();
  refuse(
      fmt::format("architecture {} is not supported: a decoder needs a "
                  "language model head; supported for model_type {}: {}",
                  quoted_name(names.front()),
                  model_type,
                  head->name));
}

Activation read_activation(const ConfigFields& fields,
                           const DecoderFamily& family) {
  const std::string word = fields.text_or(
      family.activation_key, family.gemma ? "gelu_pytorch_tanh" : "silu");
  if (word == "silu" || word == "swish") return Activation::Silu;
  if (word == "gelu") return Activation::Gelu;
  if (word == "gelu_pytorch_tanh" || word == "gelu_new") {
    return Activation::GeluTanh;
  }
  refuse(
      fmt::format("{} {} is not supported; supported: silu, gelu, "
                  "gelu_pytorch_tanh",
                  family.activation_key,
                  quoted_name(word)));
}

bool has_bias(BiasRule rule, const ConfigFields& fields, const char* key) {
  if (rule == BiasRule::ByKey) return fields.flag_or(key, false);
  return rule == BiasRule::Always;
}

void read_sizes(const ConfigFields& fields,
                const DecoderFamily& family,
                DecoderConfig& out) {
  out.vocabulary = fields.count("vocab_size");
  out.hidden = fields.count("hidden_size", kMaxHidden);
  out.intermediate = fields.count("intermediate_size", kMaxIntermediate);
  out.heads = fields.count("num_attention_heads", kMaxHeads);
  const bool as_heads =
      family.kv_heads == 0 || fields.is_null("num_key_value_heads");
  out.kv_heads = fields.count_or("num_key_value_heads",
                                 as_heads ? out.heads : family.kv_heads);
  const bool derived = family.head_dim == 0 || fields.is_null("head_dim");
  out.head_dim =
      fields.count_or("head_dim",
                      derived ? out.hidden / out.heads : family.head_dim,
                      kMaxHeadDim);
  out.positions = fields.count_or("max_position_embeddings", family.positions);
  if (out.heads % out.kv_heads != 0) {
    throw Error(ErrorKind::Input,
                fmt::format("config.json: num_attention_heads {} is not a "
                            "multiple of num_key_value_heads {}",
                            out.heads,
                            out.kv_heads));
  }
  if (out.head_dim > kMaxHeadDim) {
    throw Error(ErrorKind::Input,
                fmt::format("config.json: hidden_size {} / num_attention_heads "
                            "{} makes heads of {} values: expected at most {}; "
                            "{}",
                            out.hidden,
                            out.heads,
                            out.head_dim,
                            kMaxHeadDim,
                            kOtherConfig));
  }
  if (out.head_dim < 2 || out.head_dim % 2 != 0) {
    throw Error(ErrorKind::Input,
                fmt::format("config.json: head_dim: expected an even number, "
                            "got {}",
                            out.head_dim));
  }
}

// A cap: absent takes the default of the class, null is none.
double read_cap(const ConfigFields& fields, const char* key, double fallback) {
  const double cap = fields.is_null(key) ? 0 : fields.number_or(key, fallback);
  if (cap >= 0) return cap;
  throw Error(
      ErrorKind::Input,
      fmt::format("config.json: {}: expected 0 or more, got {}", key, cap));
}

void read_block(const ConfigFields& fields,
                const DecoderFamily& family,
                DecoderConfig& out) {
  out.norm_eps = fields.epsilon_or("rms_norm_eps", family.eps);
  out.activation = read_activation(fields, family);
  out.one_plus_norm = family.gemma;
  out.feedforward_norms = family.feedforward_norms;
  out.qk_norm = family.qk_norm;
  out.qkv_bias = has_bias(family.qkv_bias, fields, "attention_bias");
  out.output_bias = has_bias(family.output_bias, fields, "attention_bias");
  out.mlp_bias = has_bias(family.mlp_bias, fields, "mlp_bias");
  if (family.gemma) {
    out.embedding_scale = std::sqrt(static_cast<double>(out.hidden));
  }
  double scaled = static_cast<double>(out.head_dim);
  if (family.query_pre_attn_scalar != 0) {
    scaled =
        fields.number_or("query_pre_attn_scalar", family.query_pre_attn_scalar);
  }
  out.attention_scale = std::pow(scaled, -0.5);
  if (family.attention_cap != 0) {
    out.attention_cap =
        read_cap(fields, "attn_logit_softcapping", family.attention_cap);
  }
  if (family.final_cap_key) {
    out.final_cap =
        read_cap(fields, "final_logit_softcapping", family.final_cap);
  }
}

std::int64_t read_window(const ConfigFields& fields,
                         const DecoderFamily& family) {
  if (family.windows == WindowRule::None) return 0;
  const bool asks = family.windows == WindowRule::FromLayer ||
                    family.windows == WindowRule::EveryIfUsed;
  if (asks && !fields.flag_or("use_sliding_window", false)) return 0;
  if (fields.is_null("sliding_window")) return 0;
  return fields.count_or("sliding_window", family.window);
}

// Whether layer i is a sliding one by its family's rule.
bool slides(const ConfigFields& fields,
            const DecoderFamily& family,
            std::int64_t layer) {
  switch (family.windows) {
    case WindowRule::None:
      return false;
    case WindowRule::Every:
    case WindowRule::EveryIfUsed:
      return true;
    case WindowRule::FromLayer: {
      constexpr std::int64_t kDefault = 28;
      const auto listed = fields.number_or("max_window_layers", kDefault);
      return static_cast<double>(layer) >= listed;
    }
    case WindowRule::Alternate:
      return layer % 2 == 0;
    case WindowRule::FiveOfSix:
      return (layer + 1) % fields.count_or("sliding_window_pattern", 6) != 0;
  }
  return false;
}

// The layers that layer_types calls sliding, or those of the family's rule.
std::vector<bool> sliding_layers(const ConfigFields& fields,
                                 const DecoderFamily& family,
                                 bool windowed,
                                 std::int64_t layers) {
  const std::vector<std::string> types = fields.texts("layer_types");
  if (!types.empty() && std::cmp_not_equal(types.size(), layers)) {
    throw Error(ErrorKind::Input,
                fmt::format("config.json: layer_types: expected {} words (= "
                            "num_hidden_layers), got {}",
                            layers,
                            types.size()));
  }
  std::vector<bool> out;
  for (std::int64_t i = 0; i < layers; ++i) {
    if (types.empty()) {
      out.push_back((windowed || family.rope_by_layer) &&
                    slides(fields, family, i));
      continue;
    }
    const std::string& word = types[static_cast<std::size_t>(i)];
    if (word != "full_attention" && word != "sliding_attention") {
      refuse(
          fmt::format("layer type {} is not supported; supported: "
                      "full_attention, sliding_attention",
                      quoted_name(word)));
    }
    out.push_back(word == "sliding_attention");
  }
  return out;
}

void read_experts(const ConfigFields& fields,
                  const DecoderFamily& family,
                  DecoderConfig& out) {
  if (family.experts == ExpertsRule::None) return;
  const bool qwen = family.experts == ExpertsRule::Qwen;
  const char* key = fields.has("num_local_experts") || !qwen
                        ? "num_local_experts"
                        : "num_experts";
  out.experts.experts = fields.count(key, kMaxExperts);
  out.experts.experts_per_token =
      fields.count_or("num_experts_per_tok", qwen ? 8 : 2);
  out.experts.intermediate =
      qwen ? fields.count("moe_intermediate_size", kMaxIntermediate)
           : out.intermediate;
  out.experts.normalize = !qwen || fields.flag_or("norm_topk_prob", false);
  if (out.experts.experts_per_token > out.experts.experts) {
    throw Error(ErrorKind::Input,
                fmt::format("config.json: num_experts_per_tok {} is more than "
                            "{} {}",
                            out.experts.experts_per_token,
                            key,
                            out.experts.experts));
  }
}

// Whether layer i has experts, in a model that has some.
std::vector<bool> expert_layers(const ConfigFields& fields,
                                const DecoderFamily& family,
                                std::int64_t layers) {
  std::vector<bool> out(static_cast<std::size_t>(layers),
                        family.experts != ExpertsRule::None);
  if (family.experts != ExpertsRule::Qwen) return out;
  const std::int64_t step = fields.count_or("decoder_sparse_step", 1);
  for (std::int64_t i = 0; i < layers; ++i) {
    out[static_cast<std::size_t>(i)] = (i + 1) % step == 0;
  }
  for (const std::int64_t dense : fields.integers("mlp_only_layers")) {
    if (dense < layers) out[static_cast<std::size_t>(dense)] = false;
  }
  return out;
}

void read_layers(const ConfigFields& fields,
                 const DecoderFamily& family,
                 DecoderConfig& out) {
  const std::int64_t layers = fields.count("num_hidden_layers");
  if (layers > kMaxLayers) {
    refuse(fmt::format(
        "num_hidden_layers {} is more than {}", layers, kMaxLayers));
  }
  const std::int64_t window = read_window(fields, family);
  const std::vector<bool> sliding =
      sliding_layers(fields, family, window != 0, layers);
  const std::vector<bool> experts = expert_layers(fields, family, layers);
  for (std::size_t i = 0; i < sliding.size(); ++i) {
    LayerConfig layer;
    layer.window = sliding[i] ? window : 0;
    layer.rope = family.rope_by_layer && sliding[i] ? 1 : 0;
    layer.experts = experts[i];
    out.layers.push_back(layer);
  }
}

void refuse_variants(const ConfigFields& fields) {
  if (fields.flag_or("use_bidirectional_attention", false)) {
    refuse(
        "use_bidirectional_attention is not supported; supported: causal "
        "decoders");
  }
}

}  // namespace

std::vector<std::string> decoder_families() {
  std::vector<std::string> out;
  for (const DecoderFamily& row : decoder_family_rows()) {
    out.emplace_back(row.model_type);
  }
  return out;
}

DecoderConfig read_decoder_config(std::string_view config_json) {
  const auto json = parse_config_object(config_json, "config.json");
  const ConfigFields fields(json);
  DecoderConfig out;
  out.model_type = fields.text_or("model_type", "");
  const DecoderFamily& family = find_family(out.model_type);
  out.architecture = find_class(fields, out.model_type);
  refuse_variants(fields);
  out.tied = fields.flag_or(
      "tie_word_embeddings",
      find_architecture(out.architecture, "")->family->tie_default);
  read_sizes(fields, family, out);
  read_block(fields, family, out);
  read_experts(fields, family, out);
  if (family.rope_by_layer) {
    out.ropes = read_rope_by_layer(fields, out.positions);
  } else {
    out.ropes = {read_rope(fields, family.theta, out.positions)};
  }
  read_layers(fields, family, out);
  return out;
}

}  // namespace mantissa
