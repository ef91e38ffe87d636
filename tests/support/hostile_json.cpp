#include "support/hostile_files.h"

namespace mantissa::support {
namespace {

std::string torchao(std::string_view type,
                    std::string_view data,
                    std::string_view version = "2") {
  return R"({"_type":")" + std::string(type) + R"(","_version":)" +
         std::string(version) + R"(,"_data":)" + std::string(data) + "}";
}

std::string rules(std::string_view entries) {
  return torchao("FqnToConfig",
                 R"({"fqn_to_config":{)" + std::string(entries) + "}}",
                 "1");
}

std::string nested(int depth) {
  const auto times = static_cast<std::size_t>(depth);
  return std::string(times, '[') + std::string(times, ']');
}

// A manifest with these members of "files".
std::string files(std::string_view members) {
  return R"({"schema_version":1,"files":{)" + std::string(members) + "}}";
}

constexpr std::string_view kHash = R"("xxh3":"0123456789abcdef")";

std::string entry(std::string_view fields) {
  return R"("a":{)" + std::string(fields) + "}";
}

std::vector<HostileFile> as_usage(std::vector<HostileFile> files) {
  for (HostileFile& file : files) file.kind = ErrorKind::Usage;
  return files;
}

}  // namespace

std::vector<HostileFile> hostile_model_configs() {
  return {
      {"Empty", "", "not JSON at byte 1: unexpected end of input"},
      {"Array", "[]", "expected a JSON object, got an array"},
      {"Number", "7", "expected a JSON object, got number"},
      {"Unclosed", "{", "not JSON at byte 2"},
      {"NoValue", "{\"a\":}", "not JSON at byte 6: unexpected '}'"},
      {"NaN", "{\"a\":NaN}", "at byte 6: invalid literal; JSON has no NaN"},
      {"Overflow", "{\"a\":1e999}", "at byte 10: a number beyond every double"},
      {"NotUtf8", "{\"a\":\"\xff\"}", "not UTF-8 at byte 7"},
      {"ByteOrderMark", "\xef\xbb\xbf{}", "begins with a byte order mark"},
      {"ZeroByte", std::string("{\0}", 3), "at byte 1: a zero byte"},
      {"KeyTwice", "{\"a\":1,\"a\":2}", "at byte 10: repeated key \"a\""},
      {"KeyTwiceOfMany",
       "{\"a\":1,\"b\":1,\"c\":1,\"d\":1,\"e\":1,\"f\":1,\"g\":1,\"h\":1,"
       "\"i\":1,\"a\":1}",
       "repeated key \"a\""},
      {"Deep", "{\"a\":" + nested(40) + "}", "nested deeper than 32 levels"},
      {"SecondValue", "{}{}", "not JSON at byte 3"},
      {"Comment", "{/**/}", "not JSON"},
  };
}

namespace {

std::vector<HostileFile> hostile_configs_1() {
  return {
      {"Unclosed", "{", "config: not JSON at byte 2"},
      {"NoData", R"({"_type":"Int4WeightOnlyConfig"})", "_data"},
      {"TypeNumber", R"({"_type":4,"_data":{}})", "_type"},
      {"DataArray",
       torchao("Int4WeightOnlyConfig", "[]"),
       "expected an object"},
      {"TypeMistyped", torchao("Int4WeightOnlyConfi", "{}"), "did you mean"},
      {"TypeUnknown", torchao("Zebra", "{}"), "is not known"},
      {"Removed", torchao("FPXWeightOnlyConfig", "{}", "1"), "was removed"},
      {"VersionAhead", torchao("Int4WeightOnlyConfig", "{}", "3"), "version 3"},
      {"VersionString",
       torchao("GPTQConfig", "{}", "\"1\""),
       "_version: expected an integer"},
      {"VersionAbove64Bits",
       torchao("GPTQConfig", "{}", "18446744073709551616"),
       "_version"},
      {"FieldString",
       torchao("Int4WeightOnlyConfig", R"({"group_size":"128"})"),
       "expected an integer"},
      {"FieldNull",
       torchao("Int4WeightOnlyConfig", R"({"group_size":null})"),
       "expected an integer"},
      {"FieldAbove63Bits",
       torchao("Int4WeightOnlyConfig",
               R"({"group_size":18446744073709551615})"),
       "group_size"},
      {"FieldEnum",
       torchao("Int4WeightOnlyConfig", R"({"int4_packing_format":"weird"})"),
       "int4_packing_format"},
      {"Granularity",
       torchao("IntxWeightOnlyConfig",
               R"({"granularity":{"_type":"PerWord","_data":{}}})"),
       "PerWord"},
      {"GroupSizeZero",
       torchao("Int4WeightOnlyConfig", R"({"group_size":0})"),
       "group_size"},
      {"Deep", torchao("X", nested(70)), "nested deeper than 64 levels"},
      {"ConfigsNested",
       [] {
         std::string text = "null";
         for (int i = 0; i < 12; ++i) text = rules("\"a\":" + text);
         return text;
       }(),
       "nested too deeply"},
  };
}

std::vector<HostileFile> hostile_configs_2() {
  return {
      {"KeyTwice", rules(R"("a":null,"a":null)"), "repeated key \"a\""},
      {"RuleInRule", rules("\"a\":" + rules("\"b\":null")), "FqnToConfig"},
      {"RuleRegex", rules(R"("re:(":null)"), "rule 're:('"},
      {"RuleLookAhead", rules(R"x("re:(?!a)":null)x"), "look-around"},
      {"RuleBackReference", rules(R"("re:(a)\\1":null)"), "back-references"},
      {"RuleRepeat", rules(R"("re:((a{100}){100}){100}":null)"), "rule"},
      {"RuleMisread", rules(R"("re:a\\z":null)"), "means something else"},
      {"RuleEmpty", rules(R"("re:":null)"), "got nothing"},
      {"RuleNumber", rules(R"("a":7)"), "config: expected"},
      {"MethodOfOthers",
       R"({"quantization_config": {"quant_method": "awq"}})",
       "quant_method: expected \"torchao\""},
      {"MethodNumber",
       R"({"quantization_config": {"quant_method": 3}})",
       "quant_method: expected \"torchao\""},
      {"QuantTypeMissing",
       R"({"quantization_config": {"quant_method": "torchao"}})",
       "quant_type: expected"},
      {"QuantizationConfigArray", R"({"quantization_config": []})", "object"},
      {"WordsUnknown", "int5_weight_only", "is not known"},
      {"WordsFieldTwice",
       "int4_weight_only:group_size=32,group_size=64",
       "is given twice"},
      {"WordsNoValue", "int4_weight_only:group_size", "expected field=value"},
      {"WordsNumber", "int4_weight_only:group_size=1e3", "group_size"},
      {"WordsBrackets", "int4_weight_only:group_size=[1,", "group_size"},
      {"WordsOfRules", "fqn_to_config:a=b", "words cannot give configs"},
  };
}

}  // namespace

std::vector<HostileFile> hostile_configs() {
  return as_usage(joined({hostile_configs_1(), hostile_configs_2()}));
}

std::vector<HostileFile> hostile_manifests() {
  const std::string bytes = R"("bytes":4,)";
  return {
      {"Empty", "", "not valid JSON"},
      {"Array", "[]", "expected objects of files and tensors"},
      {"Number", "7", "unexpected an integer"},
      {"NoVersion", "{}", "schema_version is missing"},
      {"Version", R"({"schema_version":2})", "schema_version: expected 1"},
      {"VersionString", R"({"schema_version":"1"})", "unexpected a string"},
      {"VersionTwice",
       R"({"schema_version":1,"schema_version":1})",
       "\"schema_version\" stands twice"},
      {"UnknownKey", R"({"schema_version":1,"a":1})", "\"a\": unexpected"},
      {"UnknownObject",
       R"({"schema_version":1,"a":{}})",
       "unexpected object \"a\""},
      {"FilesArray", R"({"schema_version":1,"files":[]})", "expected objects"},
      {"FilesTwice",
       R"({"schema_version":1,"files":{},"files":{}})",
       "\"files\" stands twice"},
      {"FileString", files(R"("a":"b")"), "\"a\": unexpected a string"},
      {"FileTwice",
       files(entry(bytes + std::string(kHash)) + "," +
             entry(bytes + std::string(kHash))),
       "\"a\" stands twice"},
      {"NoBytes", files(entry(kHash)), "\"a\": bytes is missing"},
      {"NoHash", files(entry(R"("bytes":4)")), "\"a\": xxh3 is missing"},
      {"BytesTwice",
       files(entry(bytes + bytes + std::string(kHash))),
       "\"bytes\" stands twice"},
      {"BytesNegative",
       files(entry(R"("bytes":-4)")),
       "\"bytes\": unexpected a negative integer"},
      {"BytesFraction",
       files(entry(R"("bytes":4.0)")),
       "\"bytes\": unexpected"},
      {"BytesAbove63Bits",
       files(entry(R"("bytes":9223372036854775808)")),
       "\"bytes\": unexpected"},
      {"HashShort", files(entry(R"("xxh3":"0123")")), "\"xxh3\": unexpected"},
      {"HashNoHex",
       files(entry(R"("xxh3":"0123456789abcdeg")")),
       "\"xxh3\": unexpected"},
      {"HashNumber", files(entry(R"("xxh3":7)")), "\"xxh3\": unexpected"},
      {"EntryDeep", files(entry(R"("bytes":{})")), "expected objects"},
      {"Deep", nested(100'000), "expected objects"},
      {"NotUtf8", files("\"\xff\":{}"), "not valid UTF-8"},
      {"ZeroByte", std::string("{\0}", 3), "zero byte"},
      {"BytesAfter", R"({"schema_version":1} x)", "not valid JSON"},
  };
}

}  // namespace mantissa::support
