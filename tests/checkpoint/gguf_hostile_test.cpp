#include <filesystem>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <mantissa/checkpoint/source.h>
#include <mantissa/core/error.h>

#include "checkpoint/gguf_file.h"
#include "support/hostile_files.h"
#include "support/raw_gguf.h"
#include "support/temp_dir.h"

namespace mantissa {
namespace {

using support::HostileFile;
using support::raw_tensor;
using support::RawGguf;
using support::TempDir;
using testing::HasSubstr;

class GgufHostile : public testing::TestWithParam<HostileFile> {};

TEST_P(GgufHostile, IsRefusedByName) {
  const TempDir dir;
  const auto path = dir.write("bad.gguf", GetParam().bytes);
  try {
    open_checkpoint(path);
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::Input) << error.what();
    EXPECT_THAT(error.what(), HasSubstr("bad.gguf: "));
    EXPECT_THAT(error.what(), HasSubstr(GetParam().says));
    EXPECT_THAT(error.what(), HasSubstr(GetParam().says_too));
  }
}

INSTANTIATE_TEST_SUITE_P(Files,
                         GgufHostile,
                         testing::ValuesIn(support::hostile_gguf()),
                         [](const auto& info) { return info.param.name; });

TEST(GgufFile, TheGoodFileOpens) {
  const TempDir dir;
  const auto path = dir.write("good.gguf", RawGguf::tiny_llama().bytes());
  EXPECT_EQ(GgufFile(path).tensors().size(), 11u);
  EXPECT_EQ(open_checkpoint(path)->kind(), "GGUF");
}

// Wherever a file is cut, it is refused by name.
TEST(GgufFile, EveryPrefixIsRefused) {
  const TempDir dir;
  const std::string bytes = RawGguf::tiny_llama().bytes();
  // The last 32 bytes may be padding that no tensor needs.
  for (std::size_t size = 4; size + 32 < bytes.size();
       size += size < 3000 ? 7 : 1999) {
    const auto path = dir.write("cut.gguf", bytes.substr(0, size));
    try {
      const GgufFile file(path);
      ADD_FAILURE() << "accepted " << size << " bytes";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::Input) << error.what();
    }
  }
}

TEST(GgufFile, CapsAreConfigurable) {
  const TempDir dir;
  const auto path = dir.write("good.gguf", RawGguf::tiny_llama().bytes());
  const auto refusal = [&](const GgufLimits& limits) -> std::string {
    try {
      const GgufFile file(path, limits);
      return "";
    } catch (const Error& error) {
      return error.what();
    }
  };
  GgufLimits limits;
  EXPECT_EQ(refusal(limits), "");
  limits.tensors = 10;
  EXPECT_THAT(refusal(limits), HasSubstr("tensor count: count: 11, expected"));
  limits = {};
  limits.keys = 3;
  EXPECT_THAT(refusal(limits), HasSubstr("key count: count:"));
  limits = {};
  limits.array = 7;
  EXPECT_THAT(refusal(limits),
              HasSubstr("\"tokenizer.ggml.tokens\": count: 8"));
  limits = {};
  limits.string_bytes = 4;
  EXPECT_THAT(refusal(limits), HasSubstr("string length: 5 bytes, expected"));
}

TEST(GgufFile, AnUnreadTypeIsNamedWithThoseThatAreRead) {
  const TempDir dir;
  RawGguf file;
  file.tensor_count = 1;
  file.more_tensors = raw_tensor("w", {256}, 23) + std::string(64, '\0');
  const auto path = dir.write("iq.gguf", file.bytes());
  try {
    const GgufFile opened(path);
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::Usage);
    EXPECT_THAT(error.what(), HasSubstr("tensor \"w\": type: IQ4_XS"));
    EXPECT_THAT(error.what(), HasSubstr("Q4_0, Q4_1"));
  }
}

TEST(GgufFile, AFileThatShrinksIsAnError) {
  const TempDir dir;
  const auto path = dir.write("good.gguf", RawGguf::tiny_llama().bytes());
  const GgufFile file(path);
  std::filesystem::resize_file(path, 3000);
  std::byte out[64];
  try {
    file.read(file.tensors()[5], 0, out);
    FAIL() << "read";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::Input);
  }
}

TEST(GgufFile, ManyNamesTakeLinearTime) {
  const TempDir dir;
  RawGguf file;
  constexpr std::uint64_t kCount = 100'000;
  for (std::uint64_t i = 0; i < kCount; ++i) {
    file.more_tensors += raw_tensor("t" + std::to_string(i), {0}, 0);
  }
  file.tensor_count = kCount;
  const GgufFile opened(dir.write("many.gguf", file.bytes()));
  EXPECT_EQ(opened.tensors().size(), kCount);
}

}  // namespace
}  // namespace mantissa
