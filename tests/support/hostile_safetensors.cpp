#include <cstring>

#include "support/hostile_files.h"
#include "support/raw_safetensors.h"

namespace mantissa::support {
namespace {

std::string with_size(std::uint64_t size, std::string_view rest) {
  std::string bytes = raw_safetensors("", 0);
  std::memcpy(bytes.data(), &size, sizeof(size));
  return bytes + std::string(rest);
}

std::string nested(int depth) {
  return std::string(static_cast<std::size_t>(depth), '[') +
         std::string(static_cast<std::size_t>(depth), ']');
}

const std::string kGood = w_entry("[4]", "[0,4]");

}  // namespace

namespace {

std::vector<HostileFile> hostile_safetensors_1() {
  return {
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
      {"Unclosed",
       raw_safetensors("{\"__metadata__\":{}", 0),
       "not valid JSON"},
      {"TrailingComma", with_entries(kGood + ",", 4), "not valid JSON"},
      {"BytesAfter", raw_safetensors("{}x", 0), "something else than }"},
      {"NewlineAfter", raw_safetensors("{}\n", 0), "something else than }"},
      {"SecondValue", raw_safetensors("{}{}", 0), "not valid JSON"},
      {"Comment", raw_safetensors("{/*x*/}", 0), "not valid JSON"},
      {"ZeroByte",
       raw_safetensors(std::string_view("{}\0}", 4), 0),
       "zero byte"},
      {"BadUtf8", with_entries("\"\xff\":{}", 0), "not valid UTF-8"},
      {"OverlongUtf8", with_entries("\"\xc0\xaf\":{}", 0), "not valid UTF-8"},
      {"SurrogateUtf8",
       with_entries("\"\xed\xa0\x80\":{}", 0),
       "not valid UTF-8"},
      {"LoneSurrogate", with_entries("\"\\ud800\":{}", 0), "not valid JSON"},
      // Rule 3: what stands where.
      {"MetadataNumber",
       with_entries("\"__metadata__\":{\"a\":1}", 0),
       "__metadata__: \"a\": expected a string, got an integer"},
      {"MetadataNull",
       with_entries("\"__metadata__\":{\"a\":null}", 0),
       "got null"},
      {"MetadataNested",
       with_entries("\"__metadata__\":{\"a\":{\"b\":\"c\"}}", 0),
       "expected a string, got an object"},
      {"MetadataArray", with_entries("\"__metadata__\":[]", 0), "got an array"},
      {"MetadataString",
       with_entries("\"__metadata__\":\"x\"", 0),
       "got a string"},
  };
}

std::vector<HostileFile> hostile_safetensors_2() {
  return {
      {"TensorString",
       with_entries("\"w\":\"x\"", 0),
       "tensor \"w\": expected an object, got a string"},
      {"TensorArray",
       with_entries("\"w\":[]", 0),
       "tensor \"w\": expected an object"},
      {"UnknownKey",
       with_entries("\"w\":{\"strides\":[1]}", 0),
       "tensor \"w\": unknown key \"strides\""},
      {"NoDtype",
       with_entries("\"w\":{\"shape\":[4],\"data_offsets\":[0,4]}", 4),
       "tensor \"w\": dtype is missing"},
      {"NoShape",
       with_entries("\"w\":{\"dtype\":\"U8\",\"data_offsets\":[0,4]}", 4),
       "tensor \"w\": shape is missing"},
      {"NoOffsets",
       with_entries("\"w\":{\"dtype\":\"U8\",\"shape\":[4]}", 4),
       "tensor \"w\": data_offsets is missing"},
      // Rule 4: duplicate keys.
      {"DuplicateTensor",
       with_entries(kGood + "," + kGood, 4),
       "duplicate name \"w\""},
      {"DuplicateMetadata",
       with_entries("\"__metadata__\":{},\"__metadata__\":{}", 0),
       "duplicate name \"__metadata__\""},
      {"DuplicateMetadataKey",
       with_entries("\"__metadata__\":{\"a\":\"1\",\"a\":\"1\"}", 0),
       "__metadata__: duplicate key \"a\""},
      {"DuplicateInnerKey",
       with_entries("\"w\":{\"dtype\":\"U8\",\"dtype\":\"U8\"}", 4),
       "tensor \"w\": duplicate key \"dtype\""},
      {"DuplicateByEscape",
       with_entries(kGood + ",\"\\u0077\":{\"dtype\":\"U8\"}", 4),
       "duplicate name \"w\""},
      // Rule 5: shapes.
      {"NegativeExtent",
       with_entries(w_entry("[-4]", "[0,4]"), 4),
       "tensor \"w\": \"shape\": expected a non-negative integer, got a neg"},
      {"MinusZero",
       with_entries(w_entry("[-0]", "[0,0]"), 0),
       "got a negative integer"},
      {"FractionExtent",
       with_entries(w_entry("[4.0]", "[0,4]"), 4),
       "no 64-bit integer"},
  };
}

std::vector<HostileFile> hostile_safetensors_3() {
  return {
      {"ExponentExtent",
       with_entries(w_entry("[4e0]", "[0,4]"), 4),
       "no 64-bit integer"},
      {"StringExtent",
       with_entries(w_entry("[\"4\"]", "[0,4]"), 4),
       "got a string"},
      {"BooleanExtent",
       with_entries(w_entry("[true]", "[0,4]"), 4),
       "got a boolean"},
      {"ShapeNumber",
       with_entries(w_entry("4", "[0,4]"), 4),
       "\"shape\": expected a list of non-negative integers, got an integer"},
      {"ShapeNested",
       with_entries(w_entry("[[4]]", "[0,4]"), 4),
       "got an array"},
      {"ExtentAbove63Bits",
       with_entries(w_entry("[9223372036854775808]", "[0,4]"), 4),
       "does not fit 63 bits"},
      {"ExtentAbove64Bits",
       with_entries(w_entry("[18446744073709551616]", "[0,4]"), 4),
       "no 64-bit integer"},
      {"ProductOverflows",
       with_entries(w_entry("[4294967296,4294967296,4294967296]", "[0,4]"), 4),
       "number of elements overflows"},
      {"ProductWrapsToZero",
       with_entries(w_entry("[4294967296,4294967296]", "[0,0]"), 0),
       "number of elements overflows"},
      {"RankAboveCap",
       with_entries(w_entry(
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
       with_entries(w_entry("[4611686018427387904]", "[0,4]", "\"F64\""), 4),
       "number of bits overflows"},
  };
}

std::vector<HostileFile> hostile_safetensors_4() {
  return {
      {"HalfAByte",
       with_entries(w_entry("[3]", "[0,2]", "\"F4\""), 2),
       "do not fill whole bytes"},
      {"SixBitsLeftOver",
       with_entries(w_entry("[3]", "[0,3]", "\"F6_E2M3\""), 3),
       "do not fill whole bytes"},
      {"OffsetsTooShort",
       with_entries(w_entry("[4]", "[0,3]"), 3),
       "tensor \"w\": U8 [4] takes 4 bytes, data_offsets hold 3"},
      {"OffsetsTooLong",
       with_entries(w_entry("[4]", "[0,5]"), 5),
       "takes 4 bytes"},
      {"OffsetsReversed",
       with_entries(w_entry("[4]", "[4,0]"), 4),
       "before they begin"},
      {"OffsetsOne",
       with_entries(w_entry("[4]", "[0]"), 4),
       "expected 2 numbers, got 1"},
      {"OffsetsThree",
       with_entries(w_entry("[4]", "[0,4,4]"), 4),
       "expected 2 numbers"},
      {"OffsetsNegative",
       with_entries(w_entry("[4]", "[-4,0]"), 4),
       "negative integer"},
      {"OffsetsString",
       with_entries(w_entry("[4]", "\"0,4\""), 4),
       "got a string"},
      // Rule 7: the layout of the data.
      {"HoleAtStart",
       with_entries(w_entry("[4]", "[4,8]"), 8),
       "a hole in the data"},
      {"HoleBetween",
       with_entries(kGood + ",\"v\":{\"dtype\":\"U8\",\"shape\":[1],"
                            "\"data_offsets\":[5,6]}",
                    6),
       "tensor \"v\": data begins at 5, expected 4: a hole"},
      {"Overlap",
       with_entries(kGood + ",\"v\":{\"dtype\":\"U8\",\"shape\":[4],"
                            "\"data_offsets\":[2,6]}",
                    6),
       "it overlaps the tensor before"},
      {"SameBytesTwice",
       with_entries(kGood + ",\"v\":{\"dtype\":\"U8\",\"shape\":[4],"
                            "\"data_offsets\":[0,4]}",
                    4),
       "it overlaps the tensor before"},
  };
}

std::vector<HostileFile> hostile_safetensors_5() {
  return {
      {"DataTruncated", with_entries(kGood, 3), "it is truncated"},
      {"DataLeftOver", with_entries(kGood, 5), "bytes are left over"},
      {"NothingButData", with_entries("", 1), "bytes are left over"},
      // Rule 8: dtypes.
      {"UnknownDtype",
       with_entries(w_entry("[4]", "[0,4]", "\"F128\""), 64),
       "tensor \"w\": unknown dtype \"F128\""},
      {"TorchDtype",
       with_entries(w_entry("[4]", "[0,16]", "\"float32\""), 16),
       "unknown dtype \"float32\""},
      {"LowerCaseDtype",
       with_entries(w_entry("[4]", "[0,4]", "\"u8\""), 4),
       "unknown dtype \"u8\""},
      {"EmptyDtype",
       with_entries(w_entry("[4]", "[0,4]", "\"\""), 4),
       "unknown dtype"},
      {"DtypeNumber",
       with_entries(w_entry("[4]", "[0,4]", "8"), 4),
       "\"dtype\": expected a string, got an integer"},
      // Rules of our own.
      {"DeepShape",
       with_entries(w_entry(nested(5), "[0,4]"), 4),
       "got an array"},
      {"DeepUnknown",
       with_entries("\"w\":{\"x\":" + nested(100000) + "}", 0),
       "unknown key \"x\""},
      {"DeepTensor",
       with_entries("\"w\":" + nested(100000), 0),
       "expected an object"},
      {"LongName",
       with_entries("\"" + std::string(5000, 'n') + "\":{}", 0),
       "name of 5000 bytes, the limit is 4096"},
      {"ControlCharactersAreEscaped",
       with_entries("\"\\u001b[31m\":\"x\"", 0),
       "tensor \"\\x1b[31m\""},
  };
}

}  // namespace

std::vector<HostileFile> hostile_safetensors() {
  return joined({hostile_safetensors_1(),
                 hostile_safetensors_2(),
                 hostile_safetensors_3(),
                 hostile_safetensors_4(),
                 hostile_safetensors_5()});
}

namespace {

std::vector<HostileFile> hostile_indexes_1() {
  return {
      {"Empty", "", "not valid JSON"},
      {"Array", "[]", "expected an object"},
      {"Number", "7", "expected an object"},
      {"NoMap", "{\"metadata\":{}}", "weight_map is missing"},
      {"MapEmpty", index_with(""), "weight_map is empty"},
      {"MapArray", "{\"weight_map\":[]}", "weight_map: expected an object"},
      {"MapString", "{\"weight_map\":\"a\"}", "weight_map: expected an object"},
      {"MapTwice",
       "{\"weight_map\":{},\"weight_map\":{}}",
       "duplicate key \"weight_map\""},
      {"NameTwice",
       index_with(R"("w":"a.safetensors","w":"a.safetensors")"),
       "weight_map: duplicate name \"w\""},
      {"FileNumber",
       index_with("\"w\":1"),
       "\"w\": expected a file name, got an int"},
      {"FileArray",
       index_with("\"w\":[\"a.safetensors\"]"),
       "expected a file name"},
      {"Absolute", index_with("\"w\":\"/a.safetensors\""), "is absolute"},
      {"LongPath",
       index_with("\"w\":\"" + std::string(4084, 'a') + ".safetensors\""),
       "has 4096 bytes, expected at most 4095"},
      {"DotDot", index_with("\"w\":\"../a.safetensors\""), "contains \"..\""},
      {"DotDotInside",
       index_with("\"w\":\"x/../a.safetensors\""),
       "contains \"..\""},
      {"Dot", index_with("\"w\":\"./a.safetensors\""), "contains \".\""},
      {"EmptyName", index_with("\"w\":\"\""), "is empty"},
      {"EmptyComponent",
       index_with("\"w\":\"x//a.safetensors\""),
       "empty component"},
      {"TrailingSlash", index_with("\"w\":\"x/\""), "empty component"},
      {"Backslash", index_with("\"w\":\"..\\\\a.safetensors\""), "a backslash"},
      {"Control",
       index_with("\"w\":\"a\\n.safetensors\""),
       "a control character"},
      {"ZeroInName",
       index_with("\"w\":\"a\\u0000.safetensors\""),
       "control character"},
      {"OtherFile",
       index_with("\"w\":\"config.json\""),
       "does not end in .safetensors"},
      {"Pickle", index_with("\"w\":\"a.bin\""), "does not end in .safetensors"},
      {"FileMissing",
       index_with("\"w\":\"b.safetensors\""),
       "names the file \"b.safetensors\", which is not there"},
  };
}

std::vector<HostileFile> hostile_indexes_2() {
  return {
      {"NotAFile", index_with("\"w\":\"folder.safetensors\""), ""},
      {"TensorMissing",
       index_with(R"("w":"a.safetensors","v":"a.safetensors")"),
       "puts tensor \"v\" in \"a.safetensors\", which lacks it"},
      {"TensorUnlisted",
       index_with("\"x\":\"a.safetensors\""),
       "lacks tensor \"w\", which \"a.safetensors\" holds"},
      {"TensorElsewhere",
       index_with(R"("w":"c.safetensors","u":"a.safetensors")"),
       "puts tensor \"w\" in \"c.safetensors\", but \"a.safetensors\" holds "
       "it"},
      {"Deep",
       "{\"metadata\":{\"a\":" + nested(100000) + "}}",
       "deeper than 4 levels"},
      {"BadUtf8", index_with("\"\xff\":\"a.safetensors\""), "not valid UTF-8"},
  };
}

}  // namespace

std::vector<HostileFile> hostile_indexes() {
  return joined({hostile_indexes_1(), hostile_indexes_2()});
}

}  // namespace mantissa::support
