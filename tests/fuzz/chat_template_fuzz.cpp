#include <string>

#include <mantissa/core/error.h>
#include <mantissa/text/chat_template.h>

#include "core/utf8.h"
#include "fuzz/target.h"

namespace mantissa::fuzz {
namespace {

constexpr std::string_view kConversation = R"({
  "messages": [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": " What is 1 + 1?\n"},
    {"role": "assistant", "content": "<think>x</think>2", "tool_calls": [
      {"type": "function", "function": {"name": "add",
        "arguments": {"a": 1, "b": [1.5, null, true]}}}]},
    {"role": "user", "content": "d\u00e9j\u00e0 \u4f60"}],
  "tools": [{"type": "function", "function": {"name": "add",
    "parameters": {"type": "object"}}}],
  "bos_token": "<s>", "eos_token": "</s>", "add_generation_prompt": true})";
constexpr std::string_view kEmpty = R"({"messages": []})";

// The most that a sandbox lets out.
constexpr std::size_t kMaxOutput = std::size_t{1} << 24;

enum class End { Written, Failed, Limit };

End write(const ChatTemplate& chat, std::string_view variables) {
  try {
    const std::string text =
        chat.render(variables, {.date = "2026-11-27T09:30:00"});
    expect(text.size() <= kMaxOutput, "what comes out is bounded");
    expect(is_utf8(text), "what comes out is UTF-8");
  } catch (const Error& error) {
    expect(error.kind() == ErrorKind::Usage ||
               error.kind() == ErrorKind::Resources,
           "a template that fails is Usage, one at a limit Resources");
    return error.kind() == ErrorKind::Resources ? End::Limit : End::Failed;
  }
  return End::Written;
}

}  // namespace

Outcome chat_template(std::string_view input) {
  try {
    const ChatTemplate chat(input);
    const End full = write(chat, kConversation);
    if (full == End::Limit) return Outcome::Refused;  // once is long enough
    const End empty = write(chat, kEmpty);
    return full == End::Written || empty == End::Written ? Outcome::Accepted
                                                         : Outcome::Refused;
  } catch (const Error& error) {
    expect(error.kind() == ErrorKind::Input || error.kind() == ErrorKind::Usage,
           "what is wrong with a template is Input or Usage");
    return Outcome::Refused;
  }
}

}  // namespace mantissa::fuzz
