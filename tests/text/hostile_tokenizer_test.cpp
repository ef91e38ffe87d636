#include <gmock/gmock.h>

#include <mantissa/text/tokenizer.h>

#include "text/small_tokenizer.h"

namespace mantissa {
namespace {

using test::refusal;
using test::small_json;
using testing::HasSubstr;

std::string read_refused(ErrorKind kind, const std::string& json) {
  return refusal(kind, [&] { (void)read_tokenizer_json(json); });
}

TEST(HostileTokenizer, NamesWhatIsNotSupported) {
  const auto with = [](const char* key, const char* type) {
    return small_json(std::string(", \"") + key + "\": {\"type\": \"" + type +
                      "\"}");
  };
  EXPECT_THAT(read_refused(ErrorKind::Usage, with("normalizer", "Nmt")),
              HasSubstr("tokenizer.json.normalizer.type: \"Nmt\" is not "
                        "supported; supported are BertNormalizer"));
  EXPECT_THAT(read_refused(ErrorKind::Usage, with("pre_tokenizer", "Magic")),
              HasSubstr("\"Magic\" is not supported; supported are"));
  EXPECT_THAT(read_refused(ErrorKind::Usage, with("decoder", "CTC")),
              HasSubstr("\"CTC\" is not supported; supported are"));
  EXPECT_THAT(read_refused(ErrorKind::Usage, with("post_processor", "Odd")),
              HasSubstr("\"Odd\" is not supported; supported are"));
  EXPECT_THAT(read_refused(ErrorKind::Usage,
                           R"({"model": {"type": "Unigram", "vocab": []}})"),
              HasSubstr("\"Unigram\" is not supported; supported are BPE and "
                        "WordPiece"));
}

TEST(HostileTokenizer, RefusesMalformedModels) {
  EXPECT_THAT(read_refused(ErrorKind::Input, "[]"), HasSubstr("an object"));
  EXPECT_THAT(read_refused(ErrorKind::Input, "{}"),
              HasSubstr("tokenizer.json.model: missing"));
  EXPECT_THAT(
      read_refused(ErrorKind::Input,
                   R"({"model": {"type": "BPE", "vocab": {"a": 0, "b": 0},
                       "merges": []}})"),
      HasSubstr("have the same id 0"));
  EXPECT_THAT(read_refused(ErrorKind::Input,
                           R"({"model": {"type": "BPE", "vocab": {"a": 4000000},
                       "merges": []}})"),
              HasSubstr("id 4000000 with 1 tokens"));
  EXPECT_THAT(read_refused(ErrorKind::Input,
                           R"({"model": {"type": "BPE", "vocab": {"a": 0},
                       "merges": ["a b"]}})"),
              HasSubstr("merge 0: \"b\" is no token"));
  EXPECT_THAT(
      read_refused(ErrorKind::Usage, small_json("", R"("dropout": 0.1,)")),
      HasSubstr("dropout"));
}

TEST(HostileTokenizer, RefusesDeepJson) {
  std::string deep = R"({"type": "Sequence", "normalizers": []})";
  for (int i = 0; i < 40; ++i) {
    deep = R"({"type": "Sequence", "normalizers": [)" + deep + "]}";
  }
  EXPECT_THAT(
      read_refused(ErrorKind::Input, small_json(", \"normalizer\": " + deep)),
      HasSubstr("nested deeper than 32 levels"));
}

TEST(HostileTokenizer, RefusesAddedTokensThatContradict) {
  EXPECT_THAT(
      read_refused(
          ErrorKind::Input,
          small_json(R"(, "added_tokens": [{"id": 1, "content": "x"}])")),
      HasSubstr("id 1 for \"x\" contradicts another token"));
}

TEST(HostileTokenizer, BoundsTheGrowthOfATextByItsNormalizer) {
  std::string steps;
  for (int i = 0; i < 20; ++i) {
    steps += R"({"type": "Replace", "pattern": {"String": "a"},
                 "content": "aaaaaaaa"},)";
  }
  steps.pop_back();
  const Tokenizer tokenizer = read_tokenizer_json(
      small_json(R"(, "normalizer": {"type": "Sequence", "normalizers": [)" +
                 steps + "]}"));
  EXPECT_THAT(
      refusal(ErrorKind::Input, [&] { (void)tokenizer.encode("aaaa"); }),
      HasSubstr("grows more than"));
}

TEST(HostileModel, RefusesOtherTypesAndRubbish) {
  const auto refused = [](ErrorKind kind, const std::string& bytes) {
    return refusal(kind, [&] { (void)read_sentencepiece_model(bytes); });
  };
  EXPECT_THAT(refused(ErrorKind::Input, ""), HasSubstr("no pieces"));
  EXPECT_THAT(refused(ErrorKind::Input, "\x0a\x7f"), HasSubstr("cut off"));
  EXPECT_THAT(refused(ErrorKind::Input, std::string(12, '\xff')),
              HasSubstr("more than 10 bytes"));
  const std::string piece(
      "\x0a\x03\x0a\x01"
      "a",
      5);
  EXPECT_THAT(refused(ErrorKind::Usage, piece + "\x12\x02\x18\x01"),
              HasSubstr("type unigram; supported are models of type BPE"));
  EXPECT_THAT(
      refused(ErrorKind::Usage, piece + "\x12\x02\x18\x02\x1a\x03\x12\x01x"),
      HasSubstr("a normalization map"));
}

}  // namespace
}  // namespace mantissa
