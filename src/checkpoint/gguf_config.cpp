#include "checkpoint/gguf_config.h"

#include <algorithm>
#include <string_view>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <mantissa/core/error.h>

#include "core/quoted.h"

namespace mantissa {
namespace {

using Json = nlohmann::ordered_json;

std::optional<std::int64_t> token_id(const GgufMetadata& metadata,
                                     std::string_view name,
                                     std::int64_t vocabulary) {
  const std::string key = fmt::format("tokenizer.ggml.{}_token_id", name);
  const auto id = metadata.integer(key);
  if (id && *id >= vocabulary) {
    throw Error(ErrorKind::Input,
                fmt::format("GGUF key {}: {} is not below the {} tokens",
                            quoted_name(key),
                            *id,
                            vocabulary));
  }
  return id;
}

void put(Json& json, const char* key, std::optional<std::int64_t> id) {
  if (id) json[key] = *id;
}

Json rope_json(const RopeParameters& rope) {
  using Type = RopeParameters::Type;
  Json json;
  if (rope.type != Type::Default) json["factor"] = rope.factor;
  if (rope.type == Type::Llama3) {
    json["high_freq_factor"] = rope.high_freq_factor;
    json["low_freq_factor"] = rope.low_freq_factor;
  }
  if (rope.type == Type::Llama3 || rope.type == Type::Yarn) {
    json["original_max_position_embeddings"] = rope.original_positions;
  }
  json["rope_theta"] = rope.theta;
  json["rope_type"] = std::string(rope_type_name(rope.type));
  return json;
}

// How Transformers calls what a file becomes.
struct ModelClass {
  std::string_view name;
  std::string_view model_type;
  std::string_view experts;  // the key of their number; "" in a dense model
};

const ModelClass& class_of(const GgufModelShape& shape) {
  static constexpr ModelClass kLlama{"LlamaForCausalLM", "llama", ""};
  static constexpr ModelClass kMixtral{
      "MixtralForCausalLM", "mixtral", "num_local_experts"};
  static constexpr ModelClass kQwen3Moe{
      "Qwen3MoeForCausalLM", "qwen3_moe", "num_experts"};
  if (shape.architecture == GgufArchitecture::Qwen3Moe) return kQwen3Moe;
  return shape.experts > 0 ? kMixtral : kLlama;
}

std::string text_of(const Json& json) { return json.dump(2) + "\n"; }

}  // namespace

SpecialTokens read_special_tokens(const GgufMetadata& metadata,
                                  std::int64_t vocabulary) {
  SpecialTokens tokens;
  tokens.bos = token_id(metadata, "bos", vocabulary);
  tokens.eos = token_id(metadata, "eos", vocabulary);
  tokens.pad = token_id(metadata, "padding", vocabulary);
  tokens.unknown = token_id(metadata, "unknown", vocabulary);
  for (const std::string_view name : {"eot", "eom"}) {
    const auto id = token_id(metadata, name, vocabulary);
    auto& ends = tokens.more_ends;
    if (id && id != tokens.eos &&
        std::find(ends.begin(), ends.end(), *id) == ends.end()) {
      ends.push_back(*id);
    }
  }
  return tokens;
}

std::string model_config_json(const GgufModelShape& shape,
                              const SpecialTokens& tokens,
                              DType dtype) {
  const ModelClass& made = class_of(shape);
  const bool dense = made.experts.empty();
  const bool qwen = shape.architecture == GgufArchitecture::Qwen3Moe;
  Json json;
  json["architectures"] = Json::array({std::string(made.name)});
  if (dense || qwen) json["attention_bias"] = shape.attention_bias;
  json["attention_dropout"] = 0.0;
  put(json, "bos_token_id", tokens.bos);
  if (qwen) json["decoder_sparse_step"] = 1;
  json["dtype"] = std::string(name(dtype));
  put(json, "eos_token_id", tokens.eos);
  json["head_dim"] = shape.head_dim;
  json["hidden_act"] = "silu";
  json["hidden_size"] = shape.hidden;
  json["initializer_range"] = 0.02;
  json["intermediate_size"] = shape.intermediate;
  json["max_position_embeddings"] = shape.positions;
  if (dense) json["mlp_bias"] = shape.mlp_bias;
  if (qwen) json["mlp_only_layers"] = Json::array();
  json["model_type"] = std::string(made.model_type);
  if (qwen) json["moe_intermediate_size"] = shape.expert_intermediate;
  // No key of GGUF says it; llama.cpp always does.
  if (qwen) json["norm_topk_prob"] = true;
  json["num_attention_heads"] = shape.heads;
  if (!dense) json["num_experts_per_tok"] = shape.experts_used;
  json["num_hidden_layers"] = shape.layers;
  json["num_key_value_heads"] = shape.kv_heads;
  if (!dense) json[std::string(made.experts)] = shape.experts;
  put(json, "pad_token_id", tokens.pad);
  json["rms_norm_eps"] = shape.rms_norm_eps;
  const Json rope = rope_json(shape.rope);
  json["rope_parameters"] = rope;
  // The same twice, for readers that only know the older spelling.
  json["rope_scaling"] =
      shape.rope.type == RopeParameters::Type::Default ? Json() : rope;
  json["rope_theta"] = shape.rope.theta;
  if (!dense) json["sliding_window"] = nullptr;
  json["tie_word_embeddings"] = shape.tied;
  json["use_cache"] = true;
  if (qwen) json["use_sliding_window"] = false;
  json["vocab_size"] = shape.vocabulary;
  return text_of(json);
}

std::string generation_config_json(const SpecialTokens& tokens) {
  Json json = Json::object();
  put(json, "bos_token_id", tokens.bos);
  if (tokens.eos && !tokens.more_ends.empty()) {
    json["eos_token_id"] = Json::array({*tokens.eos});
    for (const std::int64_t id : tokens.more_ends) {
      json["eos_token_id"].push_back(id);
    }
  } else {
    put(json, "eos_token_id", tokens.eos);
  }
  put(json, "pad_token_id", tokens.pad);
  return text_of(json);
}

}  // namespace mantissa
