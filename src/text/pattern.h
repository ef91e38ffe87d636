#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/json_object.h"
#include "text/regex.h"

namespace mantissa::text {

/// What a Split or Replace looks for: a literal or a regular expression.
class Pattern {
 public:
  /// Reads `object.pattern`: {"String": ..} or {"Regex": ..}.
  explicit Pattern(const JsonObject& object);
  explicit Pattern(std::string literal) : literal_(std::move(literal)) {}
  explicit Pattern(Regex regex) : regex_(std::move(regex)) {}

  const std::optional<Regex>& regex() const { return regex_; }
  const std::string& literal() const { return literal_; }

 private:
  std::string literal_;
  std::optional<Regex> regex_;
};

/// What one thread needs to search with a Pattern.
class PatternMatcher {
 public:
  explicit PatternMatcher(const Pattern& pattern);
  /// Appends every match in `text`, from left to right.
  void find_all(std::string_view text, std::vector<Span>& out);

 private:
  const Pattern& pattern_;
  std::optional<RegexMatcher> regex_;
};

/// `text` with `content` in place of every match.
std::string replace_all(const Pattern& pattern,
                        std::string_view text,
                        std::string_view content);

}  // namespace mantissa::text
