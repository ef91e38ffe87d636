#include "text/pattern.h"

namespace mantissa::text {
namespace {

constexpr const char* kForms =
    R"(expected {"String": "..."} or {"Regex": "..."})";

}  // namespace

Pattern::Pattern(const JsonObject& object) {
  const JsonObject pattern = object.object("pattern");
  if (pattern.has("Regex")) {
    regex_.emplace(pattern.text("Regex"), "tokenizer.json");
    return;
  }
  if (!pattern.has("String")) object.fail("pattern", kForms);
  literal_ = pattern.text("String");
}

PatternMatcher::PatternMatcher(const Pattern& pattern) : pattern_(pattern) {
  if (pattern.regex()) regex_.emplace(*pattern.regex());
}

void PatternMatcher::find_all(std::string_view text, std::vector<Span>& out) {
  if (regex_) return regex_->find_all(text, out);
  const std::string& literal = pattern_.literal();
  if (literal.empty()) return;
  for (std::size_t at = text.find(literal); at != text.npos;
       at = text.find(literal, at + literal.size())) {
    out.push_back({at, at + literal.size()});
  }
}

std::string replace_all(const Pattern& pattern,
                        std::string_view text,
                        std::string_view content) {
  std::vector<Span> matches;
  PatternMatcher(pattern).find_all(text, matches);
  std::string out;
  std::size_t at = 0;
  for (const Span& match : matches) {
    out += text.substr(at, match.begin - at);
    out += content;
    at = match.end;
  }
  out += text.substr(at);
  return out;
}

}  // namespace mantissa::text
