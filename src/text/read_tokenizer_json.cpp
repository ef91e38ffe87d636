#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <mantissa/core/error.h>

#include "core/json_tree.h"
#include "core/quoted.h"
#include "text/bpe.h"
#include "text/tokenizer_parts.h"

namespace mantissa {
namespace {

using text::Json;
using text::JsonObject;

// The largest real ones: 33 MB, 2.1 million values.
constexpr std::size_t kMaxBytes = std::size_t{128} << 20;
constexpr JsonLimits kLimits{.depth = 32, .values = 6'000'000};
constexpr JsonLimits kConfigLimits{.depth = 32};

Json parse(std::string_view json, const char* label, const JsonLimits& limits) {
  if (json.size() > kMaxBytes) {
    throw Error(
        ErrorKind::Input,
        fmt::format("{}: {} bytes, at most {}", label, json.size(), kMaxBytes));
  }
  try {
    return parse_json_tree(json, limits);
  } catch (const JsonRefusal& refusal) {
    throw Error(ErrorKind::Input, fmt::format("{}: {}", label, refusal.what()));
  }
}

// Every text goes through all steps of a part. Real files have at most ten.
constexpr std::size_t kMaxSteps = 128;

std::size_t steps_of(const Json& json) {
  std::size_t steps = json.is_object() && json.contains("type") ? 1 : 0;
  if (json.is_structured()) {
    for (const Json& part : json) steps += steps_of(part);
  }
  return steps;
}

void check_steps(const JsonObject& file) {
  for (const char* key :
       {"normalizer", "pre_tokenizer", "decoder", "post_processor"}) {
    const Json* part = file.find(key);
    if (part != nullptr && steps_of(*part) > kMaxSteps) {
      file.fail(key, fmt::format("more than {} steps", kMaxSteps));
    }
  }
}

// Ids that a text gets around it become rows of the embedding.
void check_around(const Tokenizer::Parts& parts) {
  const std::int64_t size =
      std::max(parts.model->vocabulary().size(), parts.added.size());
  for (const auto* ids : {&parts.around.before, &parts.around.after}) {
    for (const TokenId id : *ids) {
      if (id < size) continue;
      throw Error(
          ErrorKind::Input,
          fmt::format("tokenizer.json.post_processor: token {} is not in the "
                      "vocabulary, which has {}",
                      id,
                      size));
    }
  }
}

// Files before 2020 leave the model's type out.
std::string model_type(const JsonObject& model) {
  if (model.has("type")) return model.text("type");
  return model.has("merges") ? "BPE" : "WordPiece";
}

std::unique_ptr<text::Model> read_model(const JsonObject& model) {
  const std::string type = model_type(model);
  if (type == "BPE") return text::read_bpe(model);
  if (type == "WordPiece") return text::read_word_piece(model);
  model.refuse_type("BPE and WordPiece");
}

// "bos_token": "<s>" or {"content": "<s>", ...}.
std::optional<TokenId> named_token(const JsonObject& config,
                                   std::string_view key,
                                   const Tokenizer& tokenizer) {
  const Json* value = config.find(key);
  if (value == nullptr) return std::nullopt;
  const std::string token = value->is_object()
                                ? config.object(key).text("content")
                                : config.text(key);
  const auto id = tokenizer.token_id(token);
  if (!id) {
    config.fail(key, quoted_name(token) + " is no token of tokenizer.json");
  }
  return id;
}

}  // namespace

Tokenizer read_tokenizer_json(std::string_view tokenizer_json,
                              std::string_view tokenizer_config_json) {
  const Json tree = parse(tokenizer_json, "tokenizer.json", kLimits);
  const JsonObject file(tree, "tokenizer.json");
  check_steps(file);
  auto parts = std::make_shared<Tokenizer::Parts>();
  if (file.has("normalizer")) {
    parts->normalizer = text::read_normalizer(file.object("normalizer"));
  }
  if (file.has("pre_tokenizer")) {
    parts->pre_tokenizer =
        text::read_pre_tokenizer(file.object("pre_tokenizer"));
  }
  parts->model = read_model(file.object("model"));
  if (file.has("decoder")) {
    parts->decoder = text::read_decoder(file.object("decoder"));
  }
  if (file.has("post_processor")) {
    parts->around = text::read_post_processor(file.object("post_processor"));
  }
  parts->added = text::AddedTokens(text::read_added_tokens(file),
                                   parts->model->vocabulary(),
                                   parts->normalizer.get());
  check_around(*parts);
  if (tokenizer_config_json.empty()) return Tokenizer(std::move(parts));
  const Json config_tree =
      parse(tokenizer_config_json, "tokenizer_config.json", kConfigLimits);
  const JsonObject config(config_tree, "tokenizer_config.json");
  const Tokenizer tokenizer(parts);
  parts->bos = named_token(config, "bos_token", tokenizer);
  parts->eos = named_token(config, "eos_token", tokenizer);
  return tokenizer;
}

}  // namespace mantissa
