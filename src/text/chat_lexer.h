#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace mantissa::text::chat {

/// A piece of a template.
struct Token {
  enum class Kind {
    Text,        ///< what stands outside of tags, blanks already trimmed
    BlockBegin,  ///< {%
    BlockEnd,
    OutputBegin,  ///< {{
    OutputEnd,
    Name,
    Integer,
    Float,
    String,  ///< without quotes, escapes resolved
    Operator,
    End,
  };
  Kind kind = Kind::End;
  std::string text;
  int line = 0;
};

/// Cuts a template into tokens; ends with End. Throws Error(Input) with the
/// line of what is malformed.
std::vector<Token> lex(std::string_view source);

/// Throws Error(Input) "chat template, line N: WHAT".
[[noreturn]] void fail_at(int line, std::string_view what);
/// Throws Error(Usage) "chat template, line N: WHAT".
[[noreturn]] void refuse_at(int line, std::string_view what);

}  // namespace mantissa::text::chat
