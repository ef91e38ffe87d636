#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace mantissa::text {

/// A part of a text, in bytes.
struct Span {
  std::size_t begin = 0;
  std::size_t end = 0;
};

/// A regular expression of a tokenizer file, in the dialect of `tokenizers`
/// (Oniguruma's Ruby syntax), run by PCRE2 with limits. Immutable.
class Regex {
 public:
  /// Throws Error(Usage) beginning with `place` for a construct that is not
  /// supported, Error(Input) for a pattern that is none.
  Regex(std::string_view pattern, std::string place);

  struct Code;
  const Code& code() const { return *code_; }
  const std::string& place() const { return place_; }

 private:
  std::string place_;
  std::shared_ptr<const Code> code_;
};

/// The work that all searches of this thread may do together while it lives,
/// in steps of the matcher; every search counts a little. Without one each
/// search has its own limit.
class RegexBudget {
 public:
  /// For `bytes` of text.
  explicit RegexBudget(std::size_t bytes);
  ~RegexBudget();
  RegexBudget(const RegexBudget&) = delete;
  RegexBudget& operator=(const RegexBudget&) = delete;

  /// Takes steps from the budget of this thread; false when it has less.
  static bool take(std::uint64_t steps);

 private:
  std::uint64_t left_;
  RegexBudget* outer_;
};

/// What one thread needs to search with a Regex.
class RegexMatcher {
 public:
  explicit RegexMatcher(const Regex& regex);
  ~RegexMatcher();
  RegexMatcher(const RegexMatcher&) = delete;
  RegexMatcher& operator=(const RegexMatcher&) = delete;

  /// Appends every match in `text`, which is well-formed UTF-8, from left to
  /// right. Throws Error(Input) when the search passes its limits.
  void find_all(std::string_view text, std::vector<Span>& out);

 private:
  struct State;
  int search(std::string_view text, std::size_t from);
  [[noreturn]] void give_up(std::string_view text, int error) const;

  const Regex& regex_;
  std::unique_ptr<State> state_;
};

/// The pattern as PCRE2 reads it: `\s`, `\w`, `\d` as explicit classes. Throws
/// Error(Usage) beginning with `place` for constructs that mean something else
/// there.
std::string translate_regex(std::string_view pattern, std::string_view place);

}  // namespace mantissa::text
