#include <gmock/gmock.h>

#include <thread>

#include <mantissa/text/score_vocabulary.h>
#include <mantissa/text/tokenizer.h>

#include "text/small_tokenizer.h"

namespace mantissa {
namespace {

using test::refusal;
using test::small_json;
using testing::ElementsAre;
using testing::HasSubstr;

const std::string kByteLevel =
    R"(, "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false},
       "decoder": {"type": "ByteLevel"})";

TEST(Tokenizer, MergesByRankAndDecodes) {
  const Tokenizer tokenizer = read_tokenizer_json(small_json(kByteLevel));
  const auto ids = tokenizer.encode("abc ab");
  // "a b" has a lower rank than the space and "a".
  EXPECT_THAT(ids, ElementsAre(4, 5, 3));
  EXPECT_EQ(tokenizer.decode(ids), "abc ab");
  EXPECT_EQ(tokenizer.vocabulary_size(), 7);
  EXPECT_EQ(tokenizer.token_id("abc"), 4);
  EXPECT_EQ(tokenizer.token_text(3), "ab");
  EXPECT_EQ(tokenizer.token_id("zz"), std::nullopt);
  EXPECT_EQ(tokenizer.token_text(99), std::nullopt);
}

TEST(Tokenizer, SpecialTokensAreParsedOnlyWhenAsked) {
  const Tokenizer tokenizer = read_tokenizer_json(
      small_json(kByteLevel +
                 R"(, "added_tokens": [{"id": 7, "content": "<a>",
                     "special": true, "normalized": false}],
                    "post_processor": {"type": "BertProcessing",
                     "cls": ["<a>", 7], "sep": ["c", 2]})"),
      R"({"bos_token": {"content": "<a>"}, "eos_token": "c"})");
  EXPECT_THAT(tokenizer.encode("b<a>c"), ElementsAre(7, 1, 7, 2, 2));
  EXPECT_THAT(tokenizer.encode("b<a>c", {.add_special = false}),
              ElementsAre(1, 7, 2));
  EXPECT_THAT(
      tokenizer.encode("<a>", {.add_special = false, .parse_special = false}),
      ElementsAre(0));
  EXPECT_EQ(tokenizer.bos_id(), 7);
  EXPECT_EQ(tokenizer.eos_id(), 2);
  EXPECT_TRUE(tokenizer.adds_bos());
  EXPECT_TRUE(tokenizer.is_special(7));
  EXPECT_EQ(tokenizer.vocabulary_size(), 8);
  const std::vector<TokenId> ids = {7, 1};
  EXPECT_EQ(tokenizer.decode(ids), "b");
  EXPECT_EQ(tokenizer.decode(ids, {.skip_special = false}), "<a>b");
}

TEST(Tokenizer, RefusesWhatIsNoUtf8AndNoToken) {
  const Tokenizer tokenizer = read_tokenizer_json(small_json(kByteLevel));
  EXPECT_THAT(
      refusal(ErrorKind::Input, [&] { (void)tokenizer.encode("ab\xff"); }),
      HasSubstr("not UTF-8 at byte 2"));
  const std::vector<TokenId> ids = {7};
  EXPECT_THAT(refusal(ErrorKind::Usage, [&] { (void)tokenizer.decode(ids); }),
              HasSubstr("token 7 is not in the vocabulary"));
}

TEST(Tokenizer, ServesThreadsAtOnce) {
  const Tokenizer tokenizer = read_tokenizer_json(small_json(kByteLevel));
  const std::string text = "abc ab abcc cab ab abc";
  const auto expected = tokenizer.encode(text);
  std::vector<std::thread> threads;
  std::vector<int> wrong(4, 0);
  for (std::size_t t = 0; t < wrong.size(); ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 500; ++i) {
        wrong[t] += tokenizer.encode(text) == expected ? 0 : 1;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(wrong, ElementsAre(0, 0, 0, 0));
}

ScoreVocabulary scores() {
  using Kind = ScoreVocabulary::Kind;
  ScoreVocabulary out;
  out.tokens = {{"<unk>", 0, Kind::Unknown},
                {"<s>", 0, Kind::Control},
                {"a", -9},
                {"b", -9},
                {"aa", -2},
                {"ab", -2},
                {"\xe2\x96\x81", -9},
                {"\xe2\x96\x81"
                 "a",
                 -5}};
  out.unknown = 0;
  out.bos = 1;
  return out;
}

TEST(ScoreVocabulary, EqualScoresMergeTheLeftmostFirst) {
  ScoreVocabulary vocabulary = scores();
  vocabulary.add_space_prefix = false;
  const Tokenizer tokenizer = make_score_tokenizer(vocabulary);
  EXPECT_THAT(tokenizer.encode("aab"), ElementsAre(1, 4, 3));
  EXPECT_THAT(tokenizer.encode("baab"), ElementsAre(1, 3, 4, 3));
  EXPECT_TRUE(tokenizer.adds_bos());
}

TEST(ScoreVocabulary, PutsASpaceInFrontAndTakesItAway) {
  const Tokenizer tokenizer = make_score_tokenizer(scores());
  const auto ids = tokenizer.encode("a b", {.add_special = false});
  EXPECT_THAT(ids, ElementsAre(7, 6, 3));
  EXPECT_EQ(tokenizer.decode(ids), "a b");
}

TEST(ScoreVocabulary, RefusesContradictions) {
  ScoreVocabulary twice = scores();
  twice.tokens.push_back({"ab", -1});
  EXPECT_THAT(
      refusal(ErrorKind::Input, [&] { (void)make_score_tokenizer(twice); }),
      HasSubstr("\"ab\" appears twice"));
  ScoreVocabulary outside = scores();
  outside.bos = 8;
  EXPECT_THAT(
      refusal(ErrorKind::Input, [&] { (void)make_score_tokenizer(outside); }),
      HasSubstr("the id 8 of BOS lies outside its 8 tokens"));
}

}  // namespace
}  // namespace mantissa
