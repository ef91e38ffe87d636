#include <filesystem>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <mantissa/checkpoint/source.h>
#include <mantissa/core/error.h>

#include "checkpoint/safetensors_header.h"
#include "checkpoint/safetensors_index.h"
#include "support/raw_safetensors.h"
#include "support/temp_dir.h"

namespace mantissa {
namespace {

using support::raw_safetensors;
using support::TempDir;
using testing::HasSubstr;

/// One class of files that must be refused, and words its error must say.
struct Hostile {
  std::string name;
  std::string bytes;
  std::string says;
};

void PrintTo(const Hostile& hostile, std::ostream* out) {
  *out << hostile.name;
}

void expect_input_error(const std::filesystem::path& path,
                        const std::string& says) {
  try {
    open_checkpoint(path);
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::Input) << error.what();
    EXPECT_THAT(error.what(), HasSubstr(says));
    EXPECT_THAT(error.what(), HasSubstr(path.filename().string()));
  }
}

std::string with_size(std::uint64_t size, std::string_view rest) {
  std::string bytes = raw_safetensors("", 0);
  std::memcpy(bytes.data(), &size, sizeof(size));
  return bytes + std::string(rest);
}

std::string entry(std::string_view shape,
                  std::string_view offsets,
                  std::string_view dtype = "\"U8\"") {
  return "\"w\":{\"dtype\":" + std::string(dtype) +
         ",\"shape\":" + std::string(shape) +
         ",\"data_offsets\":" + std::string(offsets) + "}";
}

std::string file(const std::string& entries, std::size_t data) {
  return raw_safetensors("{" + entries + "}", data);
}

std::string nested(int depth) {
  return std::string(static_cast<std::size_t>(depth), '[') +
         std::string(static_cast<std::size_t>(depth), ']');
}

const std::string kGood = entry("[4]", "[0,4]");

const Hostile kFiles[] = {
    // Rule 1: the size field.
    {"Empty", "", "too short"},
    {"SevenBytes", "1234567", "too short"},
    {"HeaderAboveCap", with_size(100'000'001, "{}"), "limit is 100000000"},
    {"HeaderSizeAllOnes", with_size(UINT64_MAX, "{}"), "limit is 100000000"},
    {"HeaderPastEnd", with_size(1000, "{}"), "truncated"},
    {"HeaderEmpty", with_size(0, ""), "does not begin with {"},
    // Rule 2: UTF-8 and JSON.
    {"LeadingSpace", raw_safetensors(" {}", 0), "does not begin with {"},
    {"ByteOrderMark", raw_safetensors("\xef\xbb\xbf{}", 0), "begin with {"},
    {"Array", raw_safetensors("[]", 0), "does not begin with {"},
    {"NotJson", raw_safetensors("{\"a\" 1}", 0), "not valid JSON"},
    {"Unclosed", raw_safetensors("{\"__metadata__\":{}", 0), "not valid JSON"},
    {"TrailingComma", file(kGood + ",", 4), "not valid JSON"},
    {"BytesAfter", raw_safetensors("{}x", 0), "something else than }"},
    {"NewlineAfter", raw_safetensors("{}\n", 0), "something else than }"},
    {"SecondValue", raw_safetensors("{}{}", 0), "not valid JSON"},
    {"Comment", raw_safetensors("{/*x*/}", 0), "not valid JSON"},
    {"ZeroByte", raw_safetensors(std::string_view("{}\0}", 4), 0), "zero byte"},
    {"BadUtf8", file("\"\xff\":{}", 0), "not valid UTF-8"},
    {"OverlongUtf8", file("\"\xc0\xaf\":{}", 0), "not valid UTF-8"},
    {"SurrogateUtf8", file("\"\xed\xa0\x80\":{}", 0), "not valid UTF-8"},
    {"LoneSurrogate", file("\"\\ud800\":{}", 0), "not valid JSON"},
    // Rule 3: what stands where.
    {"MetadataNumber",
     file("\"__metadata__\":{\"a\":1}", 0),
     "__metadata__: \"a\": expected a string, got an integer"},
    {"MetadataNull", file("\"__metadata__\":{\"a\":null}", 0), "got null"},
    {"MetadataNested",
     file("\"__metadata__\":{\"a\":{\"b\":\"c\"}}", 0),
     "expected a string, got an object"},
    {"MetadataArray", file("\"__metadata__\":[]", 0), "got an array"},
    {"MetadataString", file("\"__metadata__\":\"x\"", 0), "got a string"},
    {"TensorString",
     file("\"w\":\"x\"", 0),
     "tensor \"w\": expected an object, got a string"},
    {"TensorArray", file("\"w\":[]", 0), "tensor \"w\": expected an object"},
    {"UnknownKey",
     file("\"w\":{\"strides\":[1]}", 0),
     "tensor \"w\": unknown key \"strides\""},
    {"NoDtype",
     file("\"w\":{\"shape\":[4],\"data_offsets\":[0,4]}", 4),
     "tensor \"w\": dtype is missing"},
    {"NoShape",
     file("\"w\":{\"dtype\":\"U8\",\"data_offsets\":[0,4]}", 4),
     "tensor \"w\": shape is missing"},
    {"NoOffsets",
     file("\"w\":{\"dtype\":\"U8\",\"shape\":[4]}", 4),
     "tensor \"w\": data_offsets is missing"},
    // Rule 4: duplicate keys.
    {"DuplicateTensor", file(kGood + "," + kGood, 4), "duplicate name \"w\""},
    {"DuplicateMetadata",
     file("\"__metadata__\":{},\"__metadata__\":{}", 0),
     "duplicate name \"__metadata__\""},
    {"DuplicateMetadataKey",
     file("\"__metadata__\":{\"a\":\"1\",\"a\":\"1\"}", 0),
     "__metadata__: duplicate key \"a\""},
    {"DuplicateInnerKey",
     file("\"w\":{\"dtype\":\"U8\",\"dtype\":\"U8\"}", 4),
     "tensor \"w\": duplicate key \"dtype\""},
    {"DuplicateByEscape",
     file(kGood + ",\"\\u0077\":{\"dtype\":\"U8\"}", 4),
     "duplicate name \"w\""},
    // Rule 5: shapes.
    {"NegativeExtent",
     file(entry("[-4]", "[0,4]"), 4),
     "tensor \"w\": \"shape\": expected a non-negative integer, got a neg"},
    {"MinusZero", file(entry("[-0]", "[0,0]"), 0), "got a negative integer"},
    {"FractionExtent", file(entry("[4.0]", "[0,4]"), 4), "no 64-bit integer"},
    {"ExponentExtent", file(entry("[4e0]", "[0,4]"), 4), "no 64-bit integer"},
    {"StringExtent", file(entry("[\"4\"]", "[0,4]"), 4), "got a string"},
    {"BooleanExtent", file(entry("[true]", "[0,4]"), 4), "got a boolean"},
    {"ShapeNumber",
     file(entry("4", "[0,4]"), 4),
     "\"shape\": expected a list of non-negative integers, got an integer"},
    {"ShapeNested", file(entry("[[4]]", "[0,4]"), 4), "got an array"},
    {"ExtentAbove63Bits",
     file(entry("[9223372036854775808]", "[0,4]"), 4),
     "does not fit 63 bits"},
    {"ExtentAbove64Bits",
     file(entry("[18446744073709551616]", "[0,4]"), 4),
     "no 64-bit integer"},
    {"ProductOverflows",
     file(entry("[4294967296,4294967296,4294967296]", "[0,4]"), 4),
     "number of elements overflows"},
    {"ProductWrapsToZero",
     file(entry("[4294967296,4294967296]", "[0,0]"), 0),
     "number of elements overflows"},
    {"RankAboveCap",
     file(entry(
              "[1" +
                  [] {
                    std::string ones;
                    for (int i = 0; i < 64; ++i) ones += ",1";
                    return ones;
                  }() +
                  "]",
              "[0,1]"),
          1),
     "more than 64 dimensions"},
    // Rule 6: sizes.
    {"BitsOverflow",
     file(entry("[4611686018427387904]", "[0,4]", "\"F64\""), 4),
     "number of bits overflows"},
    {"HalfAByte",
     file(entry("[3]", "[0,2]", "\"F4\""), 2),
     "do not fill whole bytes"},
    {"SixBitsLeftOver",
     file(entry("[3]", "[0,3]", "\"F6_E2M3\""), 3),
     "do not fill whole bytes"},
    {"OffsetsTooShort",
     file(entry("[4]", "[0,3]"), 3),
     "tensor \"w\": U8 [4] takes 4 bytes, data_offsets hold 3"},
    {"OffsetsTooLong", file(entry("[4]", "[0,5]"), 5), "takes 4 bytes"},
    {"OffsetsReversed", file(entry("[4]", "[4,0]"), 4), "before they begin"},
    {"OffsetsOne", file(entry("[4]", "[0]"), 4), "expected 2 numbers, got 1"},
    {"OffsetsThree", file(entry("[4]", "[0,4,4]"), 4), "expected 2 numbers"},
    {"OffsetsNegative", file(entry("[4]", "[-4,0]"), 4), "negative integer"},
    {"OffsetsString", file(entry("[4]", "\"0,4\""), 4), "got a string"},
    // Rule 7: the layout of the data.
    {"HoleAtStart", file(entry("[4]", "[4,8]"), 8), "a hole in the data"},
    {"HoleBetween",
     file(kGood + ",\"v\":{\"dtype\":\"U8\",\"shape\":[1],"
                  "\"data_offsets\":[5,6]}",
          6),
     "tensor \"v\": data begins at 5, expected 4: a hole"},
    {"Overlap",
     file(kGood + ",\"v\":{\"dtype\":\"U8\",\"shape\":[4],"
                  "\"data_offsets\":[2,6]}",
          6),
     "it overlaps the tensor before"},
    {"SameBytesTwice",
     file(kGood + ",\"v\":{\"dtype\":\"U8\",\"shape\":[4],"
                  "\"data_offsets\":[0,4]}",
          4),
     "it overlaps the tensor before"},
    {"DataTruncated", file(kGood, 3), "it is truncated"},
    {"DataLeftOver", file(kGood, 5), "bytes are left over"},
    {"NothingButData", file("", 1), "bytes are left over"},
    // Rule 8: dtypes.
    {"UnknownDtype",
     file(entry("[4]", "[0,4]", "\"F128\""), 64),
     "tensor \"w\": unknown dtype \"F128\""},
    {"TorchDtype",
     file(entry("[4]", "[0,16]", "\"float32\""), 16),
     "unknown dtype \"float32\""},
    {"LowerCaseDtype",
     file(entry("[4]", "[0,4]", "\"u8\""), 4),
     "unknown dtype \"u8\""},
    {"EmptyDtype", file(entry("[4]", "[0,4]", "\"\""), 4), "unknown dtype"},
    {"DtypeNumber",
     file(entry("[4]", "[0,4]", "8"), 4),
     "\"dtype\": expected a string, got an integer"},
    // Rules of our own.
    {"DeepShape", file(entry(nested(5), "[0,4]"), 4), "got an array"},
    {"DeepUnknown",
     file("\"w\":{\"x\":" + nested(100000) + "}", 0),
     "unknown key \"x\""},
    {"DeepTensor", file("\"w\":" + nested(100000), 0), "expected an object"},
    {"LongName",
     file("\"" + std::string(5000, 'n') + "\":{}", 0),
     "name of 5000 bytes, the limit is 4096"},
    {"ControlCharactersAreEscaped",
     file("\"\\u001b[31m\":\"x\"", 0),
     "tensor \"\\x1b[31m\""},
};

class SafetensorsHostile : public testing::TestWithParam<Hostile> {};

TEST_P(SafetensorsHostile, IsRefusedByName) {
  const TempDir dir;
  expect_input_error(dir.write("model.safetensors", GetParam().bytes),
                     GetParam().says);
}

INSTANTIATE_TEST_SUITE_P(Files,
                         SafetensorsHostile,
                         testing::ValuesIn(kFiles),
                         [](const auto& info) { return info.param.name; });

TEST(SafetensorsHostile, EveryPrefixOfAGoodFileIsRefused) {
  const std::string bytes = file("\"__metadata__\":{\"a\":\"b\"}," + kGood, 4);
  const auto span = std::as_bytes(std::span(bytes));
  EXPECT_NO_THROW(
      parse_header(span, static_cast<std::int64_t>(bytes.size()), "file"));
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_THROW(
        parse_header(span.first(size), static_cast<std::int64_t>(size), "file"),
        Error)
        << size;
  }
}

TEST(SafetensorsHostile, TooManyTensorsAreRefused) {
  const std::string bytes = file(
      kGood + ",\"v\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[4,4]}",
      4);
  const auto span = std::as_bytes(std::span(bytes));
  const auto size = static_cast<std::int64_t>(bytes.size());
  EXPECT_NO_THROW(parse_header(span, size, "file", {.tensors = 2}));
  try {
    parse_header(span, size, "file", {.tensors = 1});
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("more than 1 tensors"));
    EXPECT_EQ(exit_code(error.kind()), 4);
  }
}

std::string map(std::string_view entries) {
  return "{\"metadata\":{\"total_size\":4},\"weight_map\":{" +
         std::string(entries) + "}}";
}

const Hostile kIndexes[] = {
    {"Empty", "", "not valid JSON"},
    {"Array", "[]", "expected an object"},
    {"Number", "7", "expected an object"},
    {"NoMap", "{\"metadata\":{}}", "weight_map is missing"},
    {"MapEmpty", map(""), "weight_map is empty"},
    {"MapArray", "{\"weight_map\":[]}", "weight_map: expected an object"},
    {"MapString", "{\"weight_map\":\"a\"}", "weight_map: expected an object"},
    {"MapTwice",
     "{\"weight_map\":{},\"weight_map\":{}}",
     "duplicate key \"weight_map\""},
    {"NameTwice",
     map(R"("w":"a.safetensors","w":"a.safetensors")"),
     "weight_map: duplicate name \"w\""},
    {"FileNumber", map("\"w\":1"), "\"w\": expected a file name, got an int"},
    {"FileArray", map("\"w\":[\"a.safetensors\"]"), "expected a file name"},
    {"Absolute", map("\"w\":\"/a.safetensors\""), "is absolute"},
    {"DotDot", map("\"w\":\"../a.safetensors\""), "contains \"..\""},
    {"DotDotInside", map("\"w\":\"x/../a.safetensors\""), "contains \"..\""},
    {"Dot", map("\"w\":\"./a.safetensors\""), "contains \".\""},
    {"EmptyName", map("\"w\":\"\""), "is empty"},
    {"EmptyComponent", map("\"w\":\"x//a.safetensors\""), "empty component"},
    {"TrailingSlash", map("\"w\":\"x/\""), "empty component"},
    {"Backslash", map("\"w\":\"..\\\\a.safetensors\""), "a backslash"},
    {"Control", map("\"w\":\"a\\n.safetensors\""), "a control character"},
    {"ZeroInName", map("\"w\":\"a\\u0000.safetensors\""), "control character"},
    {"OtherFile", map("\"w\":\"config.json\""), "does not end in .safetensors"},
    {"Pickle", map("\"w\":\"a.bin\""), "does not end in .safetensors"},
    {"FileMissing",
     map("\"w\":\"b.safetensors\""),
     "names the file \"b.safetensors\", which is not there"},
    {"NotAFile", map("\"w\":\"folder.safetensors\""), ""},
    {"TensorMissing",
     map(R"("w":"a.safetensors","v":"a.safetensors")"),
     "puts tensor \"v\" in \"a.safetensors\", which lacks it"},
    {"TensorUnlisted",
     map("\"x\":\"a.safetensors\""),
     "lacks tensor \"w\", which \"a.safetensors\" holds"},
    {"TensorElsewhere",
     map(R"("w":"c.safetensors","u":"a.safetensors")"),
     "puts tensor \"w\" in \"c.safetensors\", but \"a.safetensors\" holds it"},
    {"Deep",
     "{\"metadata\":{\"a\":" + nested(100000) + "}}",
     "deeper than 4 levels"},
    {"BadUtf8", map("\"\xff\":\"a.safetensors\""), "not valid UTF-8"},
};

class IndexHostile : public testing::TestWithParam<Hostile> {};

TEST_P(IndexHostile, IsRefusedByName) {
  const TempDir dir;
  dir.write("a.safetensors", file(kGood, 4));
  dir.write("c.safetensors",
            file("\"u\":{\"dtype\":\"U8\",\"shape\":[1],"
                 "\"data_offsets\":[0,1]}",
                 1));
  std::filesystem::create_directory(dir.path() / "folder.safetensors");
  const auto path = dir.write("model.safetensors.index.json", GetParam().bytes);
  try {
    open_checkpoint(path);
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::Input) << error.what();
    EXPECT_THAT(error.what(), HasSubstr(GetParam().says));
  }
}

INSTANTIATE_TEST_SUITE_P(Files,
                         IndexHostile,
                         testing::ValuesIn(kIndexes),
                         [](const auto& info) { return info.param.name; });

TEST(IndexHostile, TensorInTwoShardsIsRefused) {
  const TempDir dir;
  dir.write("a.safetensors", file(kGood, 4));
  dir.write("b.safetensors",
            file(kGood + ",\"v\":{\"dtype\":\"U8\",\"shape\":[1],"
                         "\"data_offsets\":[4,5]}",
                 5));
  const auto path =
      dir.write("model.safetensors.index.json",
                map(R"("w":"a.safetensors","v":"b.safetensors")"));
  try {
    open_checkpoint(path);
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::Input);
    EXPECT_THAT(error.what(),
                HasSubstr("tensor \"w\" stands in \"a.safetensors\" and again "
                          "in \"b.safetensors\""));
  }
}

TEST(IndexHostile, SymlinkMustEndAtARegularFile) {
  const TempDir dir;
  std::filesystem::create_symlink("/dev/zero", dir.path() / "a.safetensors");
  const auto path =
      dir.write("model.safetensors.index.json", map("\"w\":\"a.safetensors\""));
  try {
    open_checkpoint(path);
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::Input);
    EXPECT_THAT(error.what(), HasSubstr("expected a regular file"));
  }
}

}  // namespace
}  // namespace mantissa
