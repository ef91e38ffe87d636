// Oniguruma's Ruby syntax to PCRE2's, for the constructs that tokenizers use.
#include <fmt/format.h>

#include <mantissa/core/error.h>

#include "core/quoted.h"
#include "text/regex.h"

namespace mantissa::text {
namespace {

// The property White_Space, which PCRE2's \s is not (it takes U+180E), and its
// complement, as members of a class.
constexpr std::string_view kSpace =
    R"(\x{9}-\x{d}\x{20}\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029})"
    R"(\x{202f}\x{205f}\x{3000})";
constexpr std::string_view kNoSpace =
    R"(\x{0}-\x{8}\x{e}-\x{1f}\x{21}-\x{84}\x{86}-\x{9f}\x{a1}-\x{167f})"
    R"(\x{1681}-\x{1fff}\x{200b}-\x{2027}\x{202a}-\x{202e}\x{2030}-\x{205e})"
    R"(\x{2060}-\x{2fff}\x{3001}-\x{10ffff})";
constexpr std::string_view kWord = R"(\p{Alphabetic}\p{M}\p{Nd}\p{Pc})";

class Translation {
 public:
  Translation(std::string_view pattern, std::string_view place)
      : pattern_(pattern), place_(place) {}

  std::string run() {
    while (at_ < pattern_.size()) step();
    return std::move(out_);
  }

 private:
  [[noreturn]] void refuse(std::string_view what) const {
    throw Error(
        ErrorKind::Usage,
        fmt::format("{}: {} in the regular expression {} is not supported; "
                    "supported are literals, classes, \\s \\d \\w \\p{{..}}, "
                    "groups, (?i:..), look-around and quantifiers",
                    place_,
                    what,
                    quoted_name(pattern_)));
  }

  char peek(std::size_t ahead = 0) const {
    return at_ + ahead < pattern_.size() ? pattern_[at_ + ahead] : '\0';
  }

  void copy(std::size_t bytes) {
    out_ += pattern_.substr(at_, bytes);
    at_ += bytes;
  }

  void step() {
    const char c = peek();
    if (c == '\\') return escape();
    if (in_class_) return class_member(c);
    if (c == '[') return open_class();
    if (c == '(') return group();
    if (c == '{') return braces();
    copy(1);
  }

  void open_class() {
    in_class_ = true;
    copy(1);
    if (peek() == '^') copy(1);
    if (peek() == ']') refuse("']' at the front of a class");
  }

  void class_member(char c) {
    if (c == '[') refuse("'[' in a class");
    if (c == '&' && peek(1) == '&') refuse("'&&' in a class");
    if (c == ']') in_class_ = false;
    copy(1);
  }

  void group() {
    if (peek(1) == '*') refuse("'(*'");
    if (peek(1) != '?') return copy(1);
    for (const std::string_view known : {"(?:",
                                         "(?=",
                                         "(?!",
                                         "(?<=",
                                         "(?<!",
                                         "(?>",
                                         "(?i:",
                                         "(?i)",
                                         "(?-i:",
                                         "(?-i)"}) {
      if (pattern_.substr(at_).starts_with(known)) return copy(known.size());
    }
    refuse(quoted_name(pattern_.substr(at_, 4)));
  }

  // {n}, {n,}, {n,m}; {,m} counts from 0; a '+' behind is no possessive mark.
  void braces() {
    const std::size_t end = pattern_.find('}', at_);
    const std::string_view inside =
        end == pattern_.npos ? "" : pattern_.substr(at_ + 1, end - at_ - 1);
    if (inside.empty() || inside == "," ||
        inside.find_first_not_of("0123456789,") != inside.npos) {
      refuse("'{' without a count");
    }
    out_ += inside.front() == ',' ? "{0" : "{";
    out_ += inside;
    out_ += '}';
    at_ = end + 1;
    if (peek() == '+') refuse("'+' behind a counted repeat");
  }

  void members(std::string_view list, bool negated) {
    if (in_class_) {
      out_ += list;
    } else {
      out_ += fmt::format("[{}{}]", negated ? "^" : "", list);
    }
  }

  void escape() {
    const char c = peek(1);
    at_ += 2;
    switch (c) {
      case 's':
        return members(kSpace, false);
      case 'S':
        return members(kNoSpace, false);
      case 'd':
        return members(R"(\p{Nd})", false);
      case 'D':
        return members(R"(\P{Nd})", false);
      case 'w':
        return members(kWord, false);
      case 'W':
        if (in_class_) refuse("'\\W' in a class");
        return members(kWord, true);
      case 'p':
      case 'P':
        return property(c);
      case 'u':
        return code_point(4);
      case 'x':
        return hexadecimal();
      case 'v':
        out_ += "\\x{b}";
        return;
      case 'a':
        out_ += "\\x{7}";
        return;
      case 'e':
        out_ += "\\x{1b}";
        return;
      case 'n':
      case 'r':
      case 't':
      case 'f':
        out_ += fmt::format("\\{}", c);
        return;
      default:
        break;
    }
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\0' || byte >= 0x80 || std::isalnum(byte) != 0) {
      refuse(fmt::format("the escape {}",
                         quoted_name(pattern_.substr(at_ - 2, 2))));
    }
    out_ += '\\';
    out_ += c;
  }

  void code_point(std::size_t digits) {
    const std::string_view hex = pattern_.substr(at_, digits);
    if (hex.size() != digits ||
        hex.find_first_not_of("0123456789abcdefABCDEF") != hex.npos) {
      refuse("a malformed code point");
    }
    out_ += fmt::format("\\x{{{}}}", hex);
    at_ += digits;
  }

  void hexadecimal() {
    if (peek() != '{') return code_point(2);
    const std::size_t end = pattern_.find('}', at_);
    if (end == pattern_.npos) refuse("a malformed code point");
    ++at_;
    code_point(end - at_);
    ++at_;
  }

  // Scripts mean the script alone; PCRE2 would take its extensions too.
  void property(char c) {
    const std::size_t end = pattern_.find('}', at_);
    if (peek() != '{' || end == pattern_.npos) refuse("a malformed property");
    std::string_view name = pattern_.substr(at_ + 1, end - at_ - 1);
    at_ = end + 1;
    const bool negated = name.starts_with('^');
    if (negated) name.remove_prefix(1);
    if (name.empty() || name.find_first_of(":=&") != name.npos) {
      refuse("a malformed property");
    }
    const bool script = name.size() > 2 && name != "Alphabetic";
    out_ += fmt::format("\\{}{{{}{}}}",
                        negated == (c == 'P') ? 'p' : 'P',
                        script ? "sc:" : "",
                        name);
  }

  std::string_view pattern_;
  std::string_view place_;
  std::size_t at_ = 0;
  bool in_class_ = false;
  std::string out_;
};

}  // namespace

std::string translate_regex(std::string_view pattern, std::string_view place) {
  return Translation(pattern, place).run();
}

}  // namespace mantissa::text
