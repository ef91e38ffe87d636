#include "configs/name_pattern.h"

#include <array>
#include <cstddef>
#include <utility>

#include <re2/re2.h>
#include <re2/set.h>

#include <mantissa/core/error.h>

namespace mantissa {
namespace {

using Syntax = NamePattern::Syntax;

constexpr std::array<std::pair<std::string_view, Syntax>, 4> kPrefixes = {{
    {"glob:", Syntax::Glob},
    {"re-prefix:", Syntax::Prefix},
    {"re-search:", Syntax::Search},
    {"re:", Syntax::Full},
}};

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (std::string_view(R"(.^$*+?{}[]\|())").find(c) !=
        std::string_view::npos) {
      out += '\\';
    }
    out += c;
  }
  return out;
}

// A shell wildcard's bracket at `text[at]`; moves `at` to its end. An unclosed
// bracket is the character itself.
std::string glob_class(std::string_view text, std::size_t& at) {
  std::size_t end = at + 1;
  if (end < text.size() && text[end] == '!') ++end;
  if (end < text.size() && text[end] == ']') ++end;
  end = text.find(']', end);
  if (end == std::string_view::npos) return "\\[";
  std::string_view body = text.substr(at + 1, end - at - 1);
  std::string out = "[";
  if (body.front() == '!') {
    out += '^';
    body.remove_prefix(1);
  }
  for (const char c : body) {
    if (c == '\\' || c == '[' || c == ']' || c == '^') out += '\\';
    out += c;
  }
  at = end;
  return out + ']';
}

std::string glob_regex(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '*') {
      out += ".*";
    } else if (text[i] == '?') {
      out += '.';
    } else if (text[i] == '[') {
      out += glob_class(text, i);
    } else {
      out += escaped(text.substr(i, 1));
    }
  }
  return out;
}

// "(?i)" at the start of an expression, else "": global flags must stay first.
std::string_view leading_flags(std::string_view text) {
  if (!text.starts_with("(?")) return {};
  const std::size_t end = text.find_first_not_of("ims", 2);
  if (end == 2 || end == std::string_view::npos || text[end] != ')') return {};
  return text.substr(0, end + 1);
}

// What RE2 and Python's re read differently: such a rule would mean one thing
// here and another to those who load the checkpoint. "" when there is nothing.
std::string misread_construct(std::string_view text) {
  const std::size_t flags = leading_flags(text).size();
  for (std::size_t i = flags; i < text.size(); ++i) {
    const std::string_view rest = text.substr(i);
    if (rest[0] == '\\') {
      if (rest.size() > 1 &&
          std::string_view("zQECpP").find(rest[1]) != std::string_view::npos) {
        return std::string(rest.substr(0, 2));
      }
      if (rest.starts_with("\\x{")) return "\\x{";
      ++i;
    } else if (rest.starts_with("[[:")) {
      return "[[:";
    } else if (rest.starts_with("{,")) {
      return "{,";
    } else if (rest.starts_with("(?")) {
      const std::size_t end = rest.find_first_not_of("imsU-", 2);
      if (end != 2 && end != std::string_view::npos &&
          (rest[end] == ')' ||
           rest.substr(2, end - 2).find('U') != std::string_view::npos)) {
        return std::string(rest.substr(0, end + 1));
      }
    }
  }
  return {};
}

// An expression takes fifty times its length when it is parsed.
constexpr std::size_t kLongest = 64 << 10;

void check_length(std::string_view spelled) {
  if (spelled.size() <= kLongest) return;
  throw Error(ErrorKind::Usage,
              "rule '" + std::string(spelled.substr(0, 100)) +
                  "...': expected a pattern of at most " +
                  std::to_string(kLongest) + " bytes, got " +
                  std::to_string(spelled.size()));
}

// Parses without compiling: a set of rules does that, within bounds.
void check_regex(const NamePattern& pattern) {
  RE2::Options options;
  options.set_log_errors(false);
  RE2::Set parser(options, RE2::ANCHOR_BOTH);
  std::string error;
  if (parser.Add(full_match_regex(pattern), &error) < 0) {
    throw Error(ErrorKind::Usage,
                "rule '" + pattern.spelled() + "': expected an RE2 regular " +
                    "expression, got an error: " + error +
                    "; look-around and back-references are not supported");
  }
  if (pattern.syntax == Syntax::Glob) return;
  const std::string construct = misread_construct(pattern.text);
  if (!construct.empty()) {
    throw Error(ErrorKind::Usage,
                "rule '" + pattern.spelled() + "': '" + construct +
                    "' means something else to Python's re, which reads the " +
                    "rule in config.json; write it without");
  }
}

}  // namespace

NamePattern NamePattern::parse(std::string_view spelled) {
  NamePattern pattern{Syntax::Exact, std::string(spelled)};
  for (const auto& [prefix, syntax] : kPrefixes) {
    if (!spelled.starts_with(prefix)) continue;
    pattern = {syntax, std::string(spelled.substr(prefix.size()))};
    break;
  }
  if (pattern.text.empty()) {
    throw Error(ErrorKind::Usage,
                "rule '" + std::string(spelled) +
                    "': expected a tensor or module name, or a pattern " +
                    "(glob:, re:, re-prefix:, re-search:), got nothing");
  }
  if (pattern.syntax != Syntax::Exact) {
    check_length(spelled);
    check_regex(pattern);
  }
  return pattern;
}

std::string NamePattern::spelled() const {
  for (const auto& [prefix, of] : kPrefixes) {
    if (of == syntax) return std::string(prefix) + text;
  }
  return text;
}

std::string NamePattern::json_key() const {
  return syntax == Syntax::Exact ? text : "re:" + full_match_regex(*this);
}

std::string full_match_regex(const NamePattern& pattern) {
  const std::string flags(leading_flags(pattern.text));
  const std::string body = pattern.text.substr(flags.size());
  switch (pattern.syntax) {
    case Syntax::Exact:
      return escaped(pattern.text);
    case Syntax::Glob:
      return glob_regex(pattern.text);
    case Syntax::Full:
      return pattern.text;
    case Syntax::Prefix:
      return flags + "(?:" + body + ").*";
    case Syntax::Search:
      return flags + ".*(?:" + body + ").*";
  }
  return {};
}

}  // namespace mantissa
