// What a hostile chat template may take: little time, memory and stack.
#include <chrono>

#include <gmock/gmock.h>

#include <mantissa/text/chat_template.h>

#include "support/cpu_clock.h"
#include "support/hostile_files.h"
#include "text/small_tokenizer.h"

namespace mantissa {
namespace {

using support::HostileFile;
using test::refusal;
using testing::HasSubstr;

constexpr std::string_view kVariables =
    R"({"messages": [{"role": "user", "content": "Hi"}]})";

class HostileChat : public testing::TestWithParam<HostileFile> {};

TEST_P(HostileChat, IsRefusedInTime) {
  const HostileFile& file = GetParam();
  const auto start = support::CpuClock::now();
  const std::string error = refusal(
      file.kind, [&] { (void)ChatTemplate(file.bytes).render(kVariables); });
  EXPECT_LT(support::CpuClock::now() - start, std::chrono::seconds(3));
  EXPECT_THAT(error, HasSubstr(file.says));
  EXPECT_THAT(error, HasSubstr(file.says_too));
  EXPECT_LT(error.size(), 2000U);
}

INSTANTIATE_TEST_SUITE_P(Malformed,
                         HostileChat,
                         testing::ValuesIn(support::hostile_chat_templates()),
                         [](const auto& info) { return info.param.name; });

INSTANTIATE_TEST_SUITE_P(Endless,
                         HostileChat,
                         testing::ValuesIn(support::endless_chat_templates()),
                         [](const auto& info) { return info.param.name; });

std::string quick(const std::string& source) {
  const auto start = support::CpuClock::now();
  std::string out = ChatTemplate(source).render(kVariables);
  EXPECT_LT(support::CpuClock::now() - start, std::chrono::seconds(1));
  return out;
}

TEST(ChatLimits, LooksForLongTextsInLinearTime) {
  const std::string texts =
      "{% set text = 'a' * 1000000 ~ 'b' %}{% set part = 'a' * 500000 ~ 'b' %}";
  EXPECT_EQ(quick(texts + "{{ text.find(part) }}"), "500000");
  EXPECT_EQ(quick(texts + "{{ part ~ 'a' in text }}"), "False");
  EXPECT_EQ(quick(texts + "{{ text.split(part) | length }}"), "2");
  EXPECT_EQ(quick(texts + "{{ text.replace(part, '') | length }}"), "500000");
  EXPECT_EQ(quick(texts + "{{ part is in text }}"), "True");
}

TEST(ChatLimits, LeavesRoomForLongConversations) {
  EXPECT_EQ(quick("{% set n = namespace(s='') %}{% for i in range(5000) %}"
                  "{% set n.s = 'word ' ~ i %}{{ n.s.split() | length }}"
                  "{% endfor %}")
                .size(),
            5000U);
  EXPECT_EQ(quick("{{ ('a b ' * 20000).split() | length }}"), "40000");
  EXPECT_EQ(quick("{{ ('a,b' * 9).rsplit(',', 2) | last }}"), "b");
  EXPECT_EQ(quick("{% for c in 'abc' * 3333 %}{{ c }}{% endfor %}").size(),
            9'999U);
}

TEST(ChatLimits, ShortensTheReasonOfARefusal) {
  const std::string error = refusal(ErrorKind::Usage, [] {
    quick("{{ raise_exception('\u00e9' * 100000) }}");
  });
  EXPECT_LT(error.size(), 1100U);
  EXPECT_THAT(error, HasSubstr("\u00e9..."));
}

}  // namespace
}  // namespace mantissa
