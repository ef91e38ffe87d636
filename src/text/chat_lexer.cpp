#include "text/chat_lexer.h"

#include <algorithm>
#include <cctype>

#include <fmt/format.h>

#include <mantissa/core/error.h>

#include "core/quoted.h"
#include "text/characters.h"

namespace mantissa::text::chat {
namespace {

using Kind = Token::Kind;

constexpr std::size_t kMaxSource = std::size_t{1} << 20;

bool is_blank(char c) {
  return std::isspace(static_cast<unsigned char>(c)) != 0;
}
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_name(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
}

std::string one_newline(std::string_view source) {
  std::string out;
  for (std::size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      out += source[i];
    } else {
      out += '\n';
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    }
  }
  if (out.ends_with('\n')) out.pop_back();
  return out;
}

class Lexer {
 public:
  explicit Lexer(std::string source) : source_(std::move(source)) {}

  std::vector<Token> run() {
    while (at_ < source_.size()) text();
    push(Kind::End, "");
    return std::move(tokens_);
  }

 private:
  std::string_view rest() const {
    return std::string_view(source_).substr(at_);
  }

  void push(Kind kind, std::string text) {
    tokens_.push_back({kind, std::move(text), line_});
  }

  void advance(std::size_t bytes) {
    line_ += static_cast<int>(
        std::count(source_.begin() + static_cast<std::ptrdiff_t>(at_),
                   source_.begin() + static_cast<std::ptrdiff_t>(at_ + bytes),
                   '\n'));
    at_ += bytes;
  }

  static std::size_t next_tag(std::string_view text) {
    for (std::size_t i = text.find('{'); i != text.npos;
         i = text.find('{', i + 1)) {
      const char next = i + 1 < text.size() ? text[i + 1] : ' ';
      if (next == '{' || next == '%' || next == '#') return i;
    }
    return text.size();
  }

  // Blanks before a tag: all of them before "{%-", those that begin a line
  // before a block or a comment.
  void trim_end(std::string& text, char kind, char mark) const {
    if (mark == '-') {
      while (!text.empty() && is_blank(text.back())) text.pop_back();
    } else if (kind != '{' && mark != '+') {
      const std::size_t newline = text.rfind('\n');
      const std::size_t begin = newline == text.npos ? 0 : newline + 1;
      if (begin == 0 && !line_start_) return;
      if (text.find_first_not_of(" \t\v\f", begin) == text.npos) {
        text.resize(begin);
      }
    }
  }

  void text() {
    const std::size_t tag = next_tag(rest());
    std::string plain(rest().substr(0, tag));
    const int line = line_;
    const bool ends = at_ + tag >= source_.size();
    const char kind = ends ? ' ' : source_[at_ + tag + 1];
    const char mark =
        at_ + tag + 2 < source_.size() ? source_[at_ + tag + 2] : ' ';
    if (!ends) trim_end(plain, kind, mark);
    advance(tag);
    if (!plain.empty()) tokens_.push_back({Kind::Text, plain, line});
    if (ends) return;
    advance(mark == '-' || mark == '+' ? 3 : 2);
    if (kind == '#') return comment();
    if (kind == '%' && raw()) return;
    push(kind == '%' ? Kind::BlockBegin : Kind::OutputBegin, "");
    tag_body(kind == '%' ? "%}" : "}}");
  }

  // Behind "%}" and "#}" one newline goes; behind "-%}" all blanks.
  void after_tag(char mark, bool block) {
    if (mark == '-') {
      std::size_t blanks = 0;
      while (blanks < rest().size() && is_blank(rest()[blanks])) ++blanks;
      advance(blanks);
    } else if (block && mark != '+' && rest().starts_with('\n')) {
      advance(1);
    }
    line_start_ = at_ > 0 && source_[at_ - 1] == '\n';
  }

  void comment() {
    const std::size_t end = rest().find("#}");
    if (end == std::string_view::npos) fail_at(line_, "'{#' without '#}'");
    const char mark = end > 0 ? rest()[end - 1] : ' ';
    advance(end + 2);
    after_tag(mark, true);
  }

  // {% raw %}: text up to {% endraw %}.
  bool raw() {
    std::size_t i = 0;
    const auto skip = [&] {
      while (i < rest().size() && is_blank(rest()[i])) ++i;
    };
    skip();
    if (!rest().substr(i).starts_with("raw")) return false;
    i += 3;
    skip();
    const char mark = i < rest().size() ? rest()[i] : ' ';
    if (mark == '-' || mark == '+') ++i;
    if (!rest().substr(i).starts_with("%}")) return false;
    refuse_at(line_, "{% raw %} is not supported");
  }

  void tag_body(std::string_view end) {
    int depth = 0;
    while (true) {
      while (at_ < source_.size() && is_blank(source_[at_])) advance(1);
      if (at_ >= source_.size()) {
        fail_at(line_, fmt::format("a tag without '{}'", end));
      }
      const char c = source_[at_];
      const bool marked =
          (c == '-' || c == '+') && rest().substr(1).starts_with(end);
      if (depth == 0 && (marked || rest().starts_with(end))) {
        push(end == "%}" ? Kind::BlockEnd : Kind::OutputEnd, "");
        advance(end.size() + (marked ? 1 : 0));
        return after_tag(marked ? c : ' ', end == "%}");
      }
      if (c == '(' || c == '[' || c == '{') ++depth;
      if (c == ')' || c == ']' || c == '}') --depth;
      token(c);
    }
  }

  void token(char c) {
    if (c == '"' || c == '\'') return string(c);
    if (is_digit(c)) return number();
    if (is_name(c)) {
      std::size_t end = 0;
      while (end < rest().size() && is_name(rest()[end])) ++end;
      push(Kind::Name, std::string(rest().substr(0, end)));
      return advance(end);
    }
    for (const std::string_view two : {"==", "!=", "<=", ">=", "//", "**"}) {
      if (rest().starts_with(two)) {
        push(Kind::Operator, std::string(two));
        return advance(2);
      }
    }
    if (std::string_view("+-*/%~[](){}<>=.:|,").find(c) ==
        std::string_view::npos) {
      fail_at(line_,
              fmt::format("unexpected {}", quoted_name(rest().substr(0, 1))));
    }
    push(Kind::Operator, std::string(1, c));
    advance(1);
  }

  void number() {
    std::size_t end = 0;
    bool real = false;
    const auto digits = [&] {
      while (end < rest().size() &&
             (is_digit(rest()[end]) || rest()[end] == '_')) {
        ++end;
      }
    };
    digits();
    if (end + 1 < rest().size() && rest()[end] == '.' &&
        is_digit(rest()[end + 1])) {
      real = true;
      ++end;
      digits();
    }
    if (end < rest().size() && (rest()[end] == 'e' || rest()[end] == 'E')) {
      real = true;
      ++end;
      if (end < rest().size() && (rest()[end] == '-' || rest()[end] == '+'))
        ++end;
      digits();
    }
    std::string text(rest().substr(0, end));
    std::erase(text, '_');
    push(real ? Kind::Float : Kind::Integer, text);
    advance(end);
  }

  void string(char quote) {
    const int line = line_;
    std::string out;
    std::size_t i = 1;
    while (true) {
      if (i >= rest().size()) fail_at(line, "a string without its end");
      const char c = rest()[i++];
      if (c == quote) break;
      if (c == '\\') {
        escape(i, out);
      } else {
        out += c;
      }
    }
    push(Kind::String, std::move(out));
    advance(i);
  }

  void escape(std::size_t& i, std::string& out) {
    const char c = i < rest().size() ? rest()[i++] : ' ';
    constexpr std::string_view kNames = "nrtbfav\\'\"";
    constexpr std::string_view kValues = "\n\r\t\b\f\a\v\\'\"";
    const std::size_t at = kNames.find(c);
    const std::size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    if (at != kNames.npos) {
      out += kValues[at];
    } else if (c == '\n') {
      return;
    } else if (digits > 0) {
      char32_t code = 0;
      for (std::size_t d = 0; d < digits; ++d, ++i) {
        const char hex = i < rest().size() ? rest()[i] : ' ';
        if (std::isxdigit(static_cast<unsigned char>(hex)) == 0) {
          fail_at(line_, "a malformed escape in a string");
        }
        code = code * 16 + static_cast<char32_t>(is_digit(hex)
                                                     ? hex - '0'
                                                     : (hex | 32) - 'a' + 10);
      }
      if (code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) {
        fail_at(line_, "an escape beyond Unicode in a string");
      }
      append_character(code, out);
    } else {
      out += '\\';
      out += c;
    }
  }

  std::string source_;
  std::vector<Token> tokens_;
  std::size_t at_ = 0;
  int line_ = 1;
  bool line_start_ = true;
};

}  // namespace

void fail_at(int line, std::string_view what) {
  throw Error(ErrorKind::Input,
              fmt::format("chat template, line {}: {}", line, what));
}

void refuse_at(int line, std::string_view what) {
  throw Error(ErrorKind::Usage,
              fmt::format("chat template, line {}: {}", line, what));
}

std::vector<Token> lex(std::string_view source) {
  if (source.size() > kMaxSource) {
    fail_at(1, fmt::format("{} bytes, at most {}", source.size(), kMaxSource));
  }
  if (!is_utf8(source)) fail_at(1, "not UTF-8");
  return Lexer(one_newline(source)).run();
}

}  // namespace mantissa::text::chat
