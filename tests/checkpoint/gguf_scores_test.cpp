// Tokenizers of GGUF files whose merges follow from scores.
#include "checkpoint/gguf_scores.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include <mantissa/text/score_vocabulary.h>

#include "checkpoint/gguf_tokenizer.h"

namespace mantissa {
namespace {

using Json = nlohmann::json;
using Kind = ScoreVocabulary::Kind;
using testing::ElementsAre;

ScoreVocabulary::Token token(std::string text,
                             float score,
                             Kind kind = Kind::Normal) {
  return {std::move(text), score, kind};
}

// Scores in another order than the ids, and none twice.
ScoreVocabulary small() {
  ScoreVocabulary out;
  out.unknown = 0;
  out.bos = 1;
  out.eos = 2;
  out.tokens = {token("<unk>", 0, Kind::Unknown),
                token("<s>", 0, Kind::Control),
                token("</s>", 0, Kind::Control)};
  for (const char* byte : {"<0x21>", "<0xC3>", "<0xA9>"}) {
    out.tokens.push_back(token(byte, 0, Kind::Byte));
  }
  float score = -7;
  for (const char* text : {"\u2581",
                           "a",
                           "b",
                           "c",
                           "ab",
                           "bc",
                           "abc",
                           "ca",
                           "\u2581a",
                           "\u2581ab",
                           "aa",
                           "aaa",
                           "\u2581\u2581"}) {
    out.tokens.push_back(token(text, score));
    score = score < -100 ? score + 96.5F : score - 31;
  }
  out.tokens.push_back(token("old", -1, Kind::Unused));
  return out;
}

GgufMetadata keys_of(const ScoreVocabulary& vocabulary) {
  std::vector<std::string> tokens;
  std::vector<double> scores;
  std::vector<std::int64_t> types;
  for (const auto& one : vocabulary.tokens) {
    tokens.push_back(one.text);
    scores.push_back(one.score);
    types.push_back(static_cast<std::int64_t>(one.kind));
  }
  GgufMetadata keys;
  keys.add("tokenizer.ggml.model", std::string("llama"));
  keys.add("tokenizer.ggml.tokens", tokens);
  keys.add("tokenizer.ggml.scores", scores);
  keys.add("tokenizer.ggml.token_type", types);
  keys.add("tokenizer.ggml.bos_token_id", std::uint64_t{1});
  keys.add("tokenizer.ggml.eos_token_id", std::uint64_t{2});
  return keys;
}

GgufTokenizer files_of(const GgufMetadata& keys) {
  const auto rows =
      static_cast<std::int64_t>(keys.strings("tokenizer.ggml.tokens")->size());
  return read_tokenizer(keys, read_special_tokens(keys, rows), rows, 128);
}

Tokenizer tokenizer_of(const GgufMetadata& keys) {
  const GgufTokenizer files = files_of(keys);
  return read_tokenizer_json(files.tokenizer_json, files.tokenizer_config_json);
}

// "a b" for each.
std::vector<std::string> merges_of(const std::vector<std::string>& tokens,
                                   const std::vector<std::int64_t>& types,
                                   const std::vector<double>& scores) {
  std::vector<std::string> out;
  for (const ScoreMerge& merge : score_merges(tokens, types, scores)) {
    out.push_back(tokens[merge.token]);
    out.back().insert(merge.cut, 1, ' ');
  }
  return out;
}

// Every text of up to six of these characters.
std::vector<std::string> texts() {
  std::vector<std::string> out = {""};
  for (std::size_t i = 0; i < 6000; ++i) {
    for (const char* more : {"a", "b", "c", " "}) {
      out.push_back(out[i] + more);
    }
  }
  for (const char* text : {"!",
                           "\u00e9",
                           "\u00e9!",
                           "x",
                           "a x\u4f60 b",
                           "old",
                           "<0x21>",
                           "\u2581a",
                           "  a  b "}) {
    out.emplace_back(text);
  }
  return out;
}

void expect_equal(const Tokenizer& a, const Tokenizer& b) {
  for (const std::string& text : texts()) {
    const auto ids = a.encode(text);
    ASSERT_EQ(ids, b.encode(text)) << text;
    ASSERT_EQ(a.decode(ids), b.decode(ids)) << text;
  }
  for (const char* text : {"a<s>b", "</s>", "a <unk>b"}) {
    EXPECT_EQ(a.encode(text), b.encode(text)) << text;
    const EncodeOptions plain{.add_special = false, .parse_special = false};
    EXPECT_EQ(a.encode(text, plain), b.encode(text, plain)) << text;
  }
}

// The rule of scores itself, and the merges that are made of it.
TEST(GgufScores, GiveTheTokensOfAScoreVocabulary) {
  ScoreVocabulary vocabulary = small();
  expect_equal(tokenizer_of(keys_of(vocabulary)),
               make_score_tokenizer(vocabulary));
  GgufMetadata keys = keys_of(vocabulary);
  keys.add("tokenizer.ggml.add_space_prefix", false);
  keys.add("tokenizer.ggml.add_bos_token", false);
  keys.add("tokenizer.ggml.add_eos_token", true);
  vocabulary.add_space_prefix = false;
  vocabulary.add_bos = false;
  vocabulary.add_eos = true;
  expect_equal(tokenizer_of(keys), make_score_tokenizer(vocabulary));
}

TEST(GgufScores, BestScoreFirstThenTheIdThenTheShorterHalf) {
  EXPECT_THAT(
      merges_of(
          {"a", "b", "ab", "ba", "aba"}, {1, 1, 1, 1, 1}, {0, 0, -2, -1, -2}),
      ElementsAre("b a", "a b", "a ba", "ab a"));
  EXPECT_THAT(merges_of({"a", "b", "ab"}, {}, {0, 0, 0}), ElementsAre("a b"));
}

TEST(GgufScores, ControlUnknownAndByteTokensTakeNoPart) {
  for (const std::int64_t type : {2, 3, 6}) {
    EXPECT_THAT(merges_of({"a", "b", "ab"}, {1, 1, type}, {0, 0, 0}),
                ElementsAre());
    EXPECT_THAT(merges_of({"a", "b", "ab"}, {1, type, 1}, {0, 0, 0}),
                ElementsAre());
  }
  EXPECT_THAT(merges_of({"a", " ", "a "}, {1, 4, 4}, {0, 0, 0}), ElementsAre());
}

TEST(GgufScores, UserDefinedTokensAreFoundInTheText) {
  ScoreVocabulary vocabulary = small();
  vocabulary.tokens.push_back(token("a b", 0, Kind::UserDefined));
  const Tokenizer tokenizer = tokenizer_of(keys_of(vocabulary));
  const TokenId last = static_cast<TokenId>(vocabulary.tokens.size()) - 1;
  EXPECT_THAT(tokenizer.encode("a b"), ElementsAre(1, last));
  EXPECT_THAT(
      tokenizer.encode("a b", {.add_special = false, .parse_special = false}),
      ElementsAre(last));
}

TEST(GgufScores, TheFilesNameWhatTheKeysName) {
  GgufMetadata keys = keys_of(small());
  keys.add("tokenizer.chat_template", std::string("{{ x }}"));
  const GgufTokenizer files = files_of(keys);
  const Json tokenizer = Json::parse(files.tokenizer_json);
  EXPECT_EQ(tokenizer["model"]["unk_token"], "<unk>");
  EXPECT_EQ(tokenizer["model"]["byte_fallback"], true);
  EXPECT_EQ(tokenizer["added_tokens"].size(), 3U);
  const Json config = Json::parse(files.tokenizer_config_json);
  EXPECT_EQ(config["chat_template"], "{{ x }}");
  EXPECT_EQ(config["bos_token"], "<s>");
  const Tokenizer read = tokenizer_of(keys);
  EXPECT_EQ(read.bos_id(), 1);
  EXPECT_EQ(read.eos_id(), 2);
  EXPECT_TRUE(read.adds_bos());
}

}  // namespace
}  // namespace mantissa
