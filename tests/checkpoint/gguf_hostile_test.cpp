#include <filesystem>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <mantissa/checkpoint/source.h>
#include <mantissa/core/error.h>

#include "checkpoint/gguf_file.h"
#include "support/raw_gguf.h"
#include "support/temp_dir.h"

namespace mantissa {
namespace {

using support::raw;
using support::raw_string;
using support::RawGguf;
using support::TempDir;
using testing::HasSubstr;

// What makes a good file bad, and words that its error must say.
struct Hostile {
  std::string name;
  void (*spoil)(RawGguf& file);
  std::string says;
  std::string says_too = "";
};

void PrintTo(const Hostile& hostile, std::ostream* out) {
  *out << hostile.name;
}

constexpr std::uint32_t kF32 = 0;
constexpr std::uint32_t kQ4_0 = 2;
constexpr std::uint64_t kHuge = std::uint64_t{1} << 62;

std::string u32(std::uint32_t value) { return raw(value); }
std::string u64(std::uint64_t value) { return raw(value); }

// A tensor's entry in the head: name, extents, type, offset.
std::string entry(const std::string& name,
                  const std::vector<std::uint64_t>& ne,
                  std::uint32_t type) {
  std::string bytes =
      raw_string(name) + u32(static_cast<std::uint32_t>(ne.size()));
  for (const std::uint64_t extent : ne) bytes += raw(extent);
  return bytes + u32(type) + u64(0);
}

void only_tensor(RawGguf& file, const std::string& bytes) {
  file = RawGguf();
  file.tensor_count = 1;
  file.more_tensors = bytes + std::string(64, '\0');
}

void only_pair(RawGguf& file, const std::string& bytes) {
  file = RawGguf();
  file.key_count = 1;
  file.more_keys = bytes + std::string(64, '\0');
}

const Hostile kFiles[] = {
    {"Magic", [](RawGguf& f) { f.magic = "GGUX"; }, "magic: expected \"GGUF\""},
    {"Version1",
     [](RawGguf& f) { f.version = u32(1); },
     "version: expected 3, found 1"},
    {"Version2",
     [](RawGguf& f) { f.version = u32(2); },
     "version: expected 3, found 2"},
    {"Version4",
     [](RawGguf& f) { f.version = u32(4); },
     "version: expected 3, found 4"},
    {"BigEndian",
     [](RawGguf& f) { f.version = std::string("\0\0\0\3", 4); },
     "big-endian"},
    {"TensorCountAboveFile",
     [](RawGguf& f) { f.tensor_count = kHuge; },
     "tensor count: count:"},
    {"TensorCountAllOnes",
     [](RawGguf& f) { f.tensor_count = UINT64_MAX; },
     "tensor count: count:"},
    {"KeyCountAboveFile",
     [](RawGguf& f) { f.key_count = kHuge; },
     "key count: count:"},
    {"KeyLengthAboveFile",
     [](RawGguf& f) { only_pair(f, u64(kHuge)); },
     "string length"},
    {"KeyLengthAboveCap",
     [](RawGguf& f) { only_pair(f, raw_string(std::string(70000, 'k'))); },
     "expected at most 65535"},
    {"KeyEmpty",
     [](RawGguf& f) { only_pair(f, raw_string("") + u32(4)); },
     "name: empty"},
    {"KeyNotUtf8",
     [](RawGguf& f) { only_pair(f, raw_string("k\xff") + u32(4)); },
     "not printable UTF-8"},
    {"KeyTwice",
     [](RawGguf& f) {
       f = RawGguf();
       f.key_count = 2;
       const std::string pair = raw_string("k") + u32(4) + u32(7);
       f.more_keys = pair + pair;
     },
     "key \"k\"",
     "appears twice"},
    {"ValueType",
     [](RawGguf& f) { only_pair(f, raw_string("k") + u32(13)); },
     "key \"k\": type: unknown number 13"},
    {"ValueTruncated",
     [](RawGguf& f) {
       f = RawGguf();
       f.key_count = 1;
       f.alignment = 1;
       f.more_keys = raw_string("k") + u32(12) + u32(0);
     },
     "key \"k\": truncated"},
    {"Bool",
     [](RawGguf& f) { f.set_bool("k", 2); },
     "key \"k\": bool: expected 0 or 1"},
    {"StringAboveFile",
     [](RawGguf& f) { only_pair(f, raw_string("k") + u32(8) + u64(kHuge)); },
     "key \"k\": string length"},
    {"ArrayElementType",
     [](RawGguf& f) {
       only_pair(f, raw_string("k") + u32(9) + u32(99) + u64(1));
     },
     "key \"k\": array: unknown element type 99"},
    {"ArrayOfArrays",
     [](RawGguf& f) {
       only_pair(f, raw_string("k") + u32(9) + u32(9) + u64(1));
     },
     "key \"k\": array: arrays of arrays"},
    {"ArrayAboveFile",
     [](RawGguf& f) {
       only_pair(f, raw_string("k") + u32(9) + u32(10) + u64(kHuge));
     },
     "key \"k\": count:"},
    {"ArrayOfStringsAboveFile",
     [](RawGguf& f) {
       only_pair(f, raw_string("k") + u32(9) + u32(8) + u64(10));
     },
     "key \"k\": count: 10",
     "at most 9"},
    {"AlignmentZero",
     [](RawGguf& f) { f.set_u32("general.alignment", 0); },
     "alignment: expected a power of two"},
    {"AlignmentNoPowerOfTwo",
     [](RawGguf& f) { f.set_u32("general.alignment", 48); },
     "alignment: expected a power of two",
     "found 48"},
    {"AlignmentAboveCap",
     [](RawGguf& f) { f.set_u32("general.alignment", 1u << 21); },
     "alignment: expected a power of two of at most 1048576"},
    {"AlignmentType",
     [](RawGguf& f) { f.set_string("general.alignment", "32"); },
     "alignment: expected an unsigned integer"},
    {"Rank",
     [](RawGguf& f) { only_tensor(f, entry("w", {1, 1, 1, 1, 1}, kF32)); },
     "tensor \"w\": rank: expected at most 4, found 5"},
    {"Dimension",
     [](RawGguf& f) { only_tensor(f, entry("w", {UINT64_MAX}, kF32)); },
     "tensor \"w\": dimension: expected >= 0"},
    {"ElementCountOverflows",
     [](RawGguf& f) { only_tensor(f, entry("w", {kHuge, kHuge}, kF32)); },
     "tensor \"w\"",
     "overflow"},
    {"OverflowBehindZero",
     [](RawGguf& f) { only_tensor(f, entry("w", {kHuge, 0, 8}, kF32)); },
     "tensor \"w\"",
     "overflow"},
    {"ByteSizeOverflows",
     [](RawGguf& f) { only_tensor(f, entry("w", {1, kHuge}, kF32)); },
     "tensor \"w\": byte size: overflow"},
    {"RowLength",
     [](RawGguf& f) { only_tensor(f, entry("w", {48, 2}, kQ4_0)); },
     "tensor \"w\": row length: 48 is not divisible by the 32"},
    {"TensorType",
     [](RawGguf& f) { only_tensor(f, entry("w", {32}, 1000)); },
     "tensor \"w\": type: unknown number 1000"},
    {"RemovedTensorType",
     [](RawGguf& f) { only_tensor(f, entry("w", {32}, 4)); },
     "tensor \"w\": type: unknown number 4"},
    {"NameTooLong",
     [](RawGguf& f) { only_tensor(f, entry(std::string(64, 'n'), {1}, 0)); },
     "tensor 0: string length: 64 bytes, expected at most 63"},
    {"NameEmpty",
     [](RawGguf& f) { only_tensor(f, entry("", {1}, kF32)); },
     "tensor 0: name: empty"},
    {"NameWithZero",
     [](RawGguf& f) {
       only_tensor(f, entry(std::string("a\0b", 3), {1}, kF32));
     },
     "not printable UTF-8"},
    {"NameTwice",
     [](RawGguf& f) {
       only_tensor(f, entry("w", {1}, kF32) + entry("w", {1}, kF32));
       f.tensor_count = 2;
     },
     "name: \"w\" appears twice"},
    {"OffsetAhead",
     [](RawGguf& f) { f.offset_error = 32; },
     "tensor \"blk.0.attn_norm.weight\": offset: expected 2048, found 2080"},
    {"OffsetBehind",
     [](RawGguf& f) { f.offset_error = -2048; },
     "offset: expected 2048, found 0"},
    {"OffsetUnaligned",
     [](RawGguf& f) { f.offset_error = 4; },
     "offset: expected 2048, found 2052"},
    {"DataMissing",
     [](RawGguf& f) { only_tensor(f, entry("w", {64, 64}, kF32)); },
     "tensor \"w\": truncated: the tensor ends at byte"},
};

class GgufHostile : public testing::TestWithParam<Hostile> {};

TEST_P(GgufHostile, IsRefusedByName) {
  const TempDir dir;
  RawGguf file = RawGguf::tiny_llama();
  GetParam().spoil(file);
  const auto path = dir.write("bad.gguf", file.bytes());
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
                         testing::ValuesIn(kFiles),
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
  only_tensor(file, entry("w", {256}, 23));
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
    file.more_tensors += entry("t" + std::to_string(i), {0}, kF32);
  }
  file.tensor_count = kCount;
  const GgufFile opened(dir.write("many.gguf", file.bytes()));
  EXPECT_EQ(opened.tensors().size(), kCount);
}

}  // namespace
}  // namespace mantissa
