#include "cli/torch/chat.h"

#include <utility>

#include <fmt/format.h>

#include <mantissa/core/error.h>

#include "checkpoint/bounded_json.h"
#include "cli/torch/model_text.h"
#include "core/utf8.h"

namespace mantissa::cli {
namespace {

using Json = nlohmann::ordered_json;

Json token_or_empty(const Tokenizer& tokenizer, std::optional<TokenId> id) {
  return id ? tokenizer.token_text(*id).value_or("") : "";
}

}  // namespace

Chat::Chat(std::string_view chat_template,
           Tokenizer tokenizer,
           std::string date)
    : template_(chat_template), tokenizer_(std::move(tokenizer)) {
  options_.date = std::move(date);
}

void Chat::add(std::string_view role, std::string_view content) {
  if (!is_utf8(content)) {
    throw Error(ErrorKind::Input,
                fmt::format("the {} message is not UTF-8", role));
  }
  messages_.push_back({{"role", role}, {"content", content}});
}

void Chat::add_all(std::string_view messages_json, std::string_view label) {
  const auto messages = parse_bounded_json(messages_json);
  const auto fail = [&](const std::string& what) {
    throw Error(ErrorKind::Input,
                fmt::format("{}: {}; expected a list such as [{{\"role\": "
                            "\"user\", \"content\": \"Hello\"}}]",
                            label,
                            what));
  };
  if (!messages || !messages->is_array()) fail("not a JSON list");
  if (messages->empty()) fail("no messages");
  for (const Json& message : *messages) {
    if (!message.is_object() || !message.contains("role") ||
        !message["role"].is_string() || !message.contains("content")) {
      fail(fmt::format("message {} lacks role or content", messages_.size()));
    }
    messages_.push_back(message);
  }
}

std::vector<std::int64_t> Chat::tokens() const {
  const Json variables = {
      {"messages", messages_},
      {"add_generation_prompt", true},
      {"bos_token", token_or_empty(tokenizer_, tokenizer_.bos_id())},
      {"eos_token", token_or_empty(tokenizer_, tokenizer_.eos_id())}};
  const std::string text = template_.render(
      variables.dump(-1, ' ', false, Json::error_handler_t::replace), options_);
  return wide_ids(
      tokenizer_.encode(text, {.add_special = false, .parse_special = true}));
}

}  // namespace mantissa::cli
