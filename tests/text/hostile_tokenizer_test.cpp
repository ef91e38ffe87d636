#include <chrono>

#include <gmock/gmock.h>

#include <mantissa/text/tokenizer.h>

#include "support/cpu_clock.h"
#include "support/hostile_files.h"
#include "text/small_tokenizer.h"

namespace mantissa {
namespace {

using support::HostileFile;
using test::refusal;
using testing::HasSubstr;

class HostileTokenizer : public testing::TestWithParam<HostileFile> {};

TEST_P(HostileTokenizer, IsRefused) {
  const HostileFile& file = GetParam();
  const std::string text = std::string(18, 'a') + "\u00e9";
  const std::string error = refusal(file.kind, [&] {
    const Tokenizer tokenizer = read_tokenizer_json(file.bytes);
    (void)tokenizer.encode(text);
    (void)tokenizer.decode(std::vector<TokenId>{0, 0});
  });
  EXPECT_THAT(error, HasSubstr(file.says));
  EXPECT_THAT(error, HasSubstr(file.says_too));
}

INSTANTIATE_TEST_SUITE_P(Classes,
                         HostileTokenizer,
                         testing::ValuesIn(support::hostile_tokenizers()),
                         [](const auto& info) { return info.param.name; });

class HostileModel : public testing::TestWithParam<HostileFile> {};

TEST_P(HostileModel, IsRefused) {
  const HostileFile& file = GetParam();
  const std::string error =
      refusal(file.kind, [&] { (void)read_sentencepiece_model(file.bytes); });
  EXPECT_THAT(error, HasSubstr(file.says));
  EXPECT_THAT(error, HasSubstr(file.says_too));
}

INSTANTIATE_TEST_SUITE_P(Classes,
                         HostileModel,
                         testing::ValuesIn(support::hostile_sentencepiece()),
                         [](const auto& info) { return info.param.name; });

// A token as long as the file: each of its characters is replaced once.
TEST(LongToken, IsDecodedInLinearTime) {
  std::string token;
  for (int i = 0; i < 700'000; ++i) token += "\u2581";
  const Tokenizer tokenizer = read_tokenizer_json(
      R"({"model": {"type": "BPE", "vocab": {"a": 0, ")" + token +
      R"(": 1}, "merges": []}, "decoder": {"type": "Metaspace"}})");
  const auto start = support::CpuClock::now();
  EXPECT_EQ(tokenizer.decode(std::vector<TokenId>{0, 1}).size(), 700'001U);
  EXPECT_LT(support::CpuClock::now() - start, std::chrono::seconds(1));
}

}  // namespace
}  // namespace mantissa
