#include <algorithm>
#include <optional>
#include <string>
#include <string_view>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <mantissa/core/error.h>
#include <mantissa/torch/sentence_encoder.h>

#include "checkpoint/bounded_json.h"
#include "core/quoted.h"
#include "torch/models/bert.h"
#include "torch/models/companion_files.h"
#include "torch/models/config_fields.h"
#include "torch/models/model_weights.h"

namespace mantissa {
namespace {

using Json = nlohmann::ordered_json;

[[noreturn]] void refuse(const std::string& what) {
  throw Error(ErrorKind::Usage, what);
}

struct PoolingRow {
  std::string_view key;   // a flag of files before version 6
  std::string_view word;  // of pooling_mode since then
  Pooling pooling;
};
constexpr PoolingRow kPoolings[] = {
    {"pooling_mode_mean_tokens", "mean", Pooling::Mean},
    {"pooling_mode_cls_token", "cls", Pooling::Cls},
    {"pooling_mode_max_tokens", "max", Pooling::Max},
    {"pooling_mode_mean_sqrt_len_tokens",
     "mean_sqrt_len_tokens",
     Pooling::MeanSqrt},
};

// The modes that 1_Pooling/config.json has on, as the file spells them. The
// word wins over flags, as in the wheel.
std::vector<std::string> pooling_modes(const Json& json) {
  std::vector<std::string> out;
  if (const auto mode = json.find("pooling_mode"); mode != json.end()) {
    const Json listed = mode->is_array() ? *mode : Json::array({*mode});
    for (const Json& word : listed) {
      out.push_back(word.is_string() ? word.get<std::string>()
                                     : std::string(word.type_name()));
    }
    return out;
  }
  for (const auto& [key, value] : json.items()) {
    if (!key.starts_with("pooling_mode_")) continue;
    if (value.is_boolean() && value.get<bool>()) out.push_back(key);
  }
  return out;
}

// 1_Pooling/config.json: one mode that we know, and no other.
Pooling read_pooling(const Json& json, const std::string& label) {
  constexpr const char* kSupported =
      "supported: one of mean, cls, max and mean_sqrt_len tokens";
  std::optional<Pooling> found;
  for (const std::string& mode : pooling_modes(json)) {
    const auto* row =
        std::ranges::find_if(kPoolings, [&](const PoolingRow& each) {
          return each.key == mode || each.word == mode;
        });
    if (row == std::end(kPoolings) || found) {
      refuse(fmt::format("{}: {} is not supported{}; {}",
                         label,
                         printable(mode),
                         found ? " beside another pooling" : "",
                         kSupported));
    }
    found = row->pooling;
  }
  if (!found) {
    refuse(fmt::format("{}: no pooling mode is on; {}", label, kSupported));
  }
  return *found;
}

std::string text_of(const Json& module, const char* key) {
  const auto it = module.find(key);
  return it != module.end() && it->is_string() ? it->get<std::string>() : "";
}

// One entry of modules.json. Newer files spell the module path differently; the
// class name is the last word.
void read_module(const Json& module,
                 const CheckpointSource& source,
                 SentenceConfig& out) {
  const std::string type = text_of(module, "type");
  const std::string name = type.substr(type.rfind('.') + 1);
  if (name == "Transformer") return;
  if (name == "Normalize") {
    out.normalize = true;
    return;
  }
  if (name != "Pooling") {
    refuse(
        fmt::format("modules.json: module {} is not supported; supported: "
                    "Transformer, Pooling, Normalize",
                    quoted_name(type)));
  }
  const std::string path = text_of(module, "path") + "/config.json";
  const auto text = companion_text(source, path);
  if (!text) {
    throw Error(
        ErrorKind::Input,
        fmt::format("modules.json: {} is not there", quoted_name(path)));
  }
  const std::string label = printable(path);
  const Json json = parse_config_object(*text, label);
  out.pooling = read_pooling(json, label);
  if (!out.prompt.empty() && json.value("include_prompt", Json()) == false) {
    refuse(label +
           ": include_prompt false beside a default prompt is not supported; "
           "supported: pooling over the tokens of the prompt too");
  }
}

void read_modules(const std::string& text,
                  const CheckpointSource& source,
                  SentenceConfig& out) {
  const std::optional<Json> json = parse_bounded_json(text);
  if (!json || !json->is_array()) {
    throw Error(ErrorKind::Input, "modules.json: expected a list of modules");
  }
  for (const Json& module : *json) {
    if (!module.is_object()) {
      throw Error(ErrorKind::Input, "modules.json: expected a list of modules");
    }
    read_module(module, source, out);
  }
}

// The tokens that sentences are cut to: max_seq_length, else what the
// tokenizer's files say, and no more than there are positions. Files without a
// length have 1e30.
std::int64_t read_length(const CheckpointSource& source,
                         const std::optional<Json>& transformer,
                         std::int64_t positions) {
  const auto take = [&](const ConfigFields& fields, const char* key) {
    const double length = fields.number(key);
    if (length >= static_cast<double>(positions)) return positions;
    return std::max<std::int64_t>(1, static_cast<std::int64_t>(length));
  };
  constexpr const char* kTokenizer = "tokenizer_config.json";
  if (transformer) {
    const ConfigFields fields(*transformer, "", "sentence_bert_config.json");
    if (fields.has("max_seq_length")) return take(fields, "max_seq_length");
  }
  if (const auto text = companion_text(source, kTokenizer)) {
    const Json json = parse_config_object(*text, kTokenizer);
    const ConfigFields fields(json, "", kTokenizer);
    if (fields.has("model_max_length")) return take(fields, "model_max_length");
  }
  return positions;
}

// What stands before every sentence unless the caller says otherwise.
std::string default_prompt(const CheckpointSource& source) {
  constexpr const char* kName = "config_sentence_transformers.json";
  const auto text = companion_text(source, kName);
  if (!text) return {};
  const Json json = parse_config_object(*text, kName);
  const ConfigFields fields(json, "", kName);
  const std::string name = fields.text_or("default_prompt_name", "");
  const auto prompts = fields.object("prompts");
  if (name.empty()) return {};
  if (!prompts || !prompts->has(name.c_str())) {
    throw Error(ErrorKind::Input,
                fmt::format("{}: default_prompt_name {} is none of its prompts",
                            kName,
                            quoted_name(name)));
  }
  return prompts->text_or(name.c_str(), "");
}

SentenceConfig read_sentence(const CheckpointSource& source,
                             const BertConfig& bert) {
  constexpr const char* kName = "sentence_bert_config.json";
  SentenceConfig out;
  std::optional<Json> transformer;
  if (const auto text = companion_text(source, kName)) {
    transformer = parse_config_object(*text, kName);
    out.lower_case =
        ConfigFields(*transformer, "", kName).flag_or("do_lower_case", false);
  }
  out.max_length = read_length(source, transformer, bert.positions);
  out.prompt = default_prompt(source);
  if (const auto text = companion_text(source, "modules.json")) {
    read_modules(*text, source, out);
  }
  return out;
}

void check_memory(const CheckpointWeights& weights,
                  const ModelOptions& options) {
  std::int64_t bytes = 0;
  for (const CheckpointWeight& weight : weights.weights()) {
    bytes += loaded_bytes(weight, options.compute_dtype, options.int8_compute);
  }
  if (!options.max_memory || bytes <= *options.max_memory) return;
  throw Error(ErrorKind::Resources,
              fmt::format("memory: the weights need {} bytes, {} are allowed",
                          bytes,
                          *options.max_memory));
}

}  // namespace

BertConfig read_bert_config(std::string_view config_json) {
  const Json json = parse_config_object(config_json, "config.json");
  const ConfigFields fields(json);
  const std::string type = fields.text_or("model_type", "");
  const std::vector<std::string> classes = fields.texts("architectures");
  if (type != "bert" || (!classes.empty() && classes.front() != "BertModel")) {
    refuse(
        fmt::format("config.json: {} is not supported as an encoder; "
                    "supported: BertModel",
                    quoted_name(classes.empty() ? type : classes.front())));
  }
  if (fields.text_or("position_embedding_type", "absolute") != "absolute" ||
      fields.flag_or("is_decoder", false)) {
    refuse("config.json: only encoders with absolute positions are supported");
  }
  BertConfig out;
  out.vocabulary = fields.count("vocab_size");
  out.hidden = fields.count("hidden_size", kMaxHidden);
  out.intermediate = fields.count("intermediate_size", kMaxIntermediate);
  out.heads = fields.count("num_attention_heads", kMaxHeads);
  out.layers = fields.count("num_hidden_layers");
  out.positions = fields.count_or("max_position_embeddings", 512);
  out.types = fields.count_or("type_vocab_size", 2);
  out.norm_eps = fields.epsilon_or("layer_norm_eps", 1e-12);
  const std::string act = fields.text_or("hidden_act", "gelu");
  if (act != "gelu") {
    refuse(
        fmt::format("config.json: hidden_act {} is not supported; "
                    "supported: gelu",
                    quoted_name(act)));
  }
  if (out.hidden % out.heads != 0 || out.layers > kMaxLayers) {
    throw Error(ErrorKind::Input,
                fmt::format("config.json: expected a hidden_size that is a "
                            "multiple of num_attention_heads and at most {} "
                            "layers, got {}, {} and {}",
                            kMaxLayers,
                            out.hidden,
                            out.heads,
                            out.layers));
  }
  return out;
}

std::shared_ptr<SentenceEncoder> load_sentence_encoder(
    const std::filesystem::path& path, const ModelOptions& options) {
  const CheckpointWeights weights = open_weights(path, options.compute_dtype);
  const CheckpointSource& source = weights.source();
  const BertConfig bert = read_bert_config(config_text(source, path.string()));
  check_memory(weights, options);
  auto model = std::make_shared<SentenceEncoder>(
      bert, read_sentence(source, bert), options.compute_dtype);
  BertStack& stack = model->stack();
  check_names(stack, weights, path.string(), "pooler.");
  load_parameters(stack,
                  weights,
                  options.compute_dtype,
                  options.device,
                  options.int8_compute);
  model->eval();
  return model;
}

}  // namespace mantissa
