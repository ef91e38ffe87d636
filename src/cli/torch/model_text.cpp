#include "cli/torch/model_text.h"

#include <iostream>
#include <iterator>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <mantissa/core/error.h>

#include "checkpoint/bounded_json.h"
#include "checkpoint/input_file.h"
#include "torch/models/companion_files.h"

namespace mantissa::cli {

using Json = nlohmann::ordered_json;

std::string read_words(const std::string& path, std::int64_t limit) {
  if (path != "-") return read_text(path, limit);
  std::string text(std::istreambuf_iterator<char>(std::cin), {});
  if (std::cmp_less_equal(text.size(), limit)) return text;
  throw Error(ErrorKind::Input,
              fmt::format("stdin: {} bytes, at most {}", text.size(), limit));
}

Tokenizer model_tokenizer(const CheckpointSource& source) {
  const std::string config =
      companion_text(source, "tokenizer_config.json").value_or("");
  if (const auto json = companion_text(source, "tokenizer.json")) {
    return read_tokenizer_json(*json, config);
  }
  if (const auto model = companion_text(source, "tokenizer.model")) {
    return read_sentencepiece_model(*model);
  }
  throw Error(ErrorKind::Input,
              "the model has no tokenizer: expected tokenizer.json or "
              "tokenizer.model beside its weights; copy it from the original "
              "model");
}

std::string model_chat_template(const CheckpointSource& source) {
  if (auto text = companion_text(source, "chat_template.jinja")) return *text;
  const auto text = companion_text(source, "tokenizer_config.json");
  const auto config = text ? parse_bounded_json(*text) : std::nullopt;
  if (config && config->is_object()) {
    const Json found = config->value("chat_template", Json());
    if (found.is_string()) return found.get<std::string>();
    for (const Json& named : found) {
      const Json text =
          named.is_object() && named.value("name", Json()) == "default"
              ? named.value("template", Json())
              : Json();
      if (text.is_string()) return text.get<std::string>();
    }
  }
  throw Error(ErrorKind::Usage,
              "--chat: the model has no chat template (chat_template.jinja, or "
              "chat_template in tokenizer_config.json); name one with "
              "--chat-template FILE, or continue a text with --prompt alone");
}

std::vector<std::int64_t> wide_ids(const std::vector<TokenId>& ids) {
  return {ids.begin(), ids.end()};
}

}  // namespace mantissa::cli
