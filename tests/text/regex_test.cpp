#include "text/regex.h"

#include <gmock/gmock.h>

#include "text/small_tokenizer.h"

namespace mantissa::text {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::vector<std::string> matches(std::string_view pattern,
                                 std::string_view text) {
  const Regex regex(pattern, "here");
  std::vector<Span> spans;
  RegexMatcher(regex).find_all(text, spans);
  std::vector<std::string> out;
  for (const Span& span : spans) {
    out.emplace_back(text.substr(span.begin, span.end - span.begin));
  }
  return out;
}

TEST(Regex, WhiteSpaceIsTheUnicodeProperty) {
  // U+180E is none, U+0085 and U+3000 are.
  EXPECT_THAT(matches(R"(\s+)", "a\u180eb\u0085\u3000c"),
              ElementsAre("\u0085\u3000"));
  EXPECT_THAT(matches(R"(\S+)", "\u180e \u3000x"), ElementsAre("\u180e", "x"));
  EXPECT_THAT(matches(R"([^\S]+)", "a \u3000b"), ElementsAre(" \u3000"));
}

TEST(Regex, TranslatesWhatDiffers) {
  EXPECT_THAT(matches(R"(\w+)", "a_1 \u00e9\u0301-"),
              ElementsAre("a_1", "\u00e9\u0301"));
  EXPECT_THAT(matches(R"(\d{,2}x)", "123x"), ElementsAre("23x"));
  EXPECT_THAT(matches(R"(\p{Han}+)", "a\u4f60\u597db"),
              ElementsAre("\u4f60\u597d"));
  EXPECT_THAT(matches(R"(\P{^L}\p{^L})", "ab1"), ElementsAre("b1"));
  EXPECT_THAT(matches("(?i:'S)", "'s\u00e9'S"), ElementsAre("'s", "'S"));
  EXPECT_THAT(matches("x*", "axb"), ElementsAre("", "x", ""));
}

TEST(Regex, RefusesWhatMeansSomethingElse) {
  for (const char* pattern : {R"(a\b)",
                              R"(\1)",
                              "(?<n>a)",
                              "(?m:.)",
                              "[a[b]]",
                              "[a&&b]",
                              "(*FAIL)",
                              "a{1,2}+",
                              R"(\K)"}) {
    EXPECT_THAT(
        test::refusal(ErrorKind::Usage, [&] { Regex regex(pattern, "here"); }),
        HasSubstr("is not supported; supported are"))
        << pattern;
  }
  EXPECT_THAT(
      test::refusal(ErrorKind::Input, [] { Regex regex("(a", "here"); }),
      HasSubstr("here: no regular expression"));
}

TEST(Regex, GivesUpOnWhatExplodes) {
  // Fibonacci(64) ways to take the letters, none of which ends before a b.
  const std::string text = std::string(64, 'a') + "cb";
  EXPECT_THAT(
      test::refusal(ErrorKind::Input, [&] { matches("(?:a|aa)+b", text); }),
      HasSubstr("gave up on a text of 66 bytes"));
}

}  // namespace
}  // namespace mantissa::text
