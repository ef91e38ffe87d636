#include <mantissa/text/decode_stream.h>

#include <gmock/gmock.h>

#include "core/utf8.h"
#include "text/small_tokenizer.h"

namespace mantissa {
namespace {

// A byte-level vocabulary of the bytes of U+1F600 and two letters.
Tokenizer bytes() {
  return read_tokenizer_json(R"({"model": {"type": "BPE", "merges": [],
      "vocab": {"\u00f0": 0, "\u0141": 1, "\u013a": 2, "\u0122": 3, "a": 4}},
      "decoder": {"type": "ByteLevel"}})");
}

TEST(DecodeStream, HoldsACharacterBackUntilItIsWhole) {
  DecodeStream stream(bytes());
  EXPECT_EQ(stream.push(4), "a");
  EXPECT_EQ(stream.push(0), "");
  EXPECT_EQ(stream.push(1), "");
  EXPECT_EQ(stream.push(2), "");
  EXPECT_EQ(stream.push(3), "\U0001f600");
  EXPECT_EQ(stream.push(4), "a");
  EXPECT_EQ(stream.finish(), "");
}

TEST(DecodeStream, SaysWhatNeverBecameACharacter) {
  DecodeStream stream(bytes());
  EXPECT_EQ(stream.push(0), "");
  EXPECT_EQ(stream.push(4),
            "\ufffd"
            "a");
  EXPECT_EQ(stream.push(0), "");
  EXPECT_EQ(stream.finish(), "\ufffd");
}

// "{" is out already when the byte behind it makes U+FFFD of both.
TEST(DecodeStream, IsUtf8WhenATokenChangesTheTextBefore) {
  DecodeStream stream(read_tokenizer_json(
      R"({"model": {"type": "BPE", "merges": [],
          "vocab": {"<0x7B>": 0, "<0xE5>": 1, "a": 2}},
          "decoder": {"type": "ByteFallback"}})"));
  EXPECT_EQ(stream.push(0), "{");
  EXPECT_EQ(stream.push(1), "");
  EXPECT_EQ(stream.push(2),
            "\ufffd"
            "a");
  EXPECT_EQ(stream.finish(), "");
}

TEST(DecodeStream, IsUtf8WhateverComes) {
  DecodeStream stream(bytes());
  std::string all;
  for (unsigned i = 0; i < 2000; ++i) {
    const std::string part = stream.push(static_cast<TokenId>(i * i % 7 % 5));
    EXPECT_TRUE(is_utf8(part));
    all += part;
  }
  EXPECT_FALSE(all.empty());
}

}  // namespace
}  // namespace mantissa
