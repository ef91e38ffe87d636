#include <mantissa/text/chat_template.h>

#include <gmock/gmock.h>

#include "text/small_tokenizer.h"

namespace mantissa {
namespace {

using test::refusal;
using testing::HasSubstr;

std::string render(const std::string& source,
                   const std::string& variables = "{}",
                   const std::string& date = "") {
  return ChatTemplate(source).render(variables, {.date = date});
}

TEST(ChatTemplate, WritesAConversation) {
  EXPECT_EQ(render("{% for m in messages %}\n<{{ m.role }}>{{ m['content'] | "
                   "trim }}\n{% endfor %}\n{% if add_generation_prompt %}"
                   "<assistant>{% endif %}",
                   R"({"messages": [{"role": "user", "content": " Hi "}],
                       "add_generation_prompt": true})"),
            "<user>Hi\n<assistant>");
}

TEST(ChatTemplate, NamesTheLineOfAnError) {
  EXPECT_EQ(refusal(ErrorKind::Input, [] { ChatTemplate("a\n{% if x\n b"); }),
            "chat template, line 3: a tag without '%}'");
  EXPECT_EQ(
      refusal(ErrorKind::Input, [] { ChatTemplate("a\n{% if x\n b %}"); }),
      "chat template, line 3: unexpected \"b\"");
  EXPECT_THAT(
      refusal(ErrorKind::Usage, [] { ChatTemplate("\n{% block x %}"); }),
      HasSubstr("line 2: {% block %} is not supported; supported are"));
  EXPECT_THAT(refusal(ErrorKind::Usage,
                      [] { render("a\nb{{ raise_exception('why') }}"); }),
              HasSubstr("line 2: the template refuses the conversation: why"));
  EXPECT_THAT(refusal(ErrorKind::Usage, [] { render("{{ x | rot13 }}"); }),
              HasSubstr("\"rot13\" is not supported; supported are abs"));
}

TEST(ChatTemplate, KeepsTheSandboxShut) {
  EXPECT_THAT(refusal(ErrorKind::Usage, [] { render("{{ ''.__class__ }}"); }),
              HasSubstr("begins with _"));
  EXPECT_THAT(refusal(ErrorKind::Usage,
                      [] { render("{{ x.append(1) }}", R"({"x": []})"); }),
              HasSubstr("append() is refused"));
}

TEST(ChatTemplate, StopsAtItsLimits) {
  const auto limited = [](const std::string& source) {
    return refusal(ErrorKind::Resources, [&] { render(source); });
  };
  EXPECT_THAT(limited("{% for a in range(9999) %}{% for b in range(9999) %}"
                      "{% endfor %}{% endfor %}"),
              HasSubstr("the limits are"));
  EXPECT_THAT(limited("{% set n = namespace(s='xxxxxxxx') %}"
                      "{% for i in range(99) %}{% set n.s = n.s ~ n.s %}"
                      "{% endfor %}"),
              HasSubstr("the limits are"));
  EXPECT_THAT(limited("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}"),
              HasSubstr("nests too deeply"));
  EXPECT_THAT(limited("{{ 'abcdefgh' * 1000000000 }}"), HasSubstr("limits"));
  const std::string deep =
      std::string(100'000, '(') + '1' + std::string(100'000, ')');
  EXPECT_THAT(
      refusal(ErrorKind::Input, [&] { ChatTemplate("{{ " + deep + " }}"); }),
      HasSubstr("nest deeper than 64 levels"));
  std::string chain = "1";
  for (int i = 0; i < 1000; ++i) chain += "+1";
  EXPECT_THAT(
      refusal(ErrorKind::Input, [&] { ChatTemplate("{{ " + chain + " }}"); }),
      HasSubstr("more than 256 operators"));
}

TEST(ChatTemplate, TakesTheDateFromItsCaller) {
  const std::string source = "{{ strftime_now('%d %b %Y %A') }}";
  EXPECT_EQ(render(source, "{}", "2026-11-27"), "27 Nov 2026 Friday");
  EXPECT_THAT(refusal(ErrorKind::Usage, [&] { render(source); }),
              HasSubstr("give one"));
  EXPECT_THAT(refusal(ErrorKind::Usage, [&] { render(source, "{}", "today"); }),
              HasSubstr("expected 2026-11-27"));
}

TEST(ChatTemplate, WantsAnObjectOfVariables) {
  EXPECT_THAT(refusal(ErrorKind::Input, [] { render("x", "[]"); }),
              HasSubstr("expected a JSON object"));
}

}  // namespace
}  // namespace mantissa
