#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include <mantissa/text/chat_template.h>
#include <mantissa/text/tokenizer.h>

namespace mantissa::cli {

/// A conversation as a chat template writes it.
class Chat {
 public:
  /// `date` is what the template may ask for (ChatOptions::date). Throws as
  /// ChatTemplate for a template that cannot be read.
  Chat(std::string_view chat_template, Tokenizer tokenizer, std::string date);

  /// One turn of "system", "user" or "assistant".
  void add(std::string_view role, std::string_view content);
  /// All turns of a JSON list of {"role", "content"}. Throws Error(Input) for
  /// other JSON.
  void add_all(std::string_view messages_json, std::string_view label);

  /// The tokens up to where the assistant speaks. Throws as
  /// ChatTemplate::render().
  std::vector<std::int64_t> tokens() const;

 private:
  ChatTemplate template_;
  Tokenizer tokenizer_;
  ChatOptions options_;
  nlohmann::ordered_json messages_ = nlohmann::ordered_json::array();
};

}  // namespace mantissa::cli
