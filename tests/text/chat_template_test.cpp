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
