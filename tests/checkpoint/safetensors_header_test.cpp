#include "checkpoint/safetensors_header.h"

#include <chrono>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <mantissa/core/error.h>

#include "support/cpu_clock.h"
#include "support/raw_safetensors.h"

namespace mantissa {
namespace {

using support::raw_safetensors;
using testing::ElementsAre;

SafetensorsHeader parse(const std::string& bytes) {
  return parse_header(std::as_bytes(std::span(bytes)),
                      static_cast<std::int64_t>(bytes.size()),
                      "file");
}

std::string entry(const std::string& name,
                  const std::string& dtype,
                  const std::string& shape,
                  const std::string& offsets) {
  return "\"" + name + "\":{\"dtype\":\"" + dtype + "\",\"shape\":" + shape +
         ",\"data_offsets\":" + offsets + "}";
}

TEST(SafetensorsHeader, AcceptsAnEmptyFile) {
  EXPECT_TRUE(parse(raw_safetensors("{}", 0)).tensors.empty());
  EXPECT_EQ(parse(raw_safetensors("{}      ", 0)).data_start, 16);
}

TEST(SafetensorsHeader, AcceptsEveryDtype) {
  for (int i = 0; i <= static_cast<int>(DType::Bool); ++i) {
    const auto dtype = static_cast<DType>(i);
    // 8 elements are whole bytes for every width.
    const int bytes = bit_width(dtype);
    const auto header =
        parse(raw_safetensors("{" +
                                  entry("w",
                                        std::string(safetensors_name(dtype)),
                                        "[2,4]",
                                        "[0," + std::to_string(bytes) + "]") +
                                  "}",
                              static_cast<std::size_t>(bytes)));
    ASSERT_EQ(header.tensors.size(), 1U);
    EXPECT_EQ(header.tensors[0].dtype, dtype);
    EXPECT_EQ(header.tensors[0].shape, (Shape{2, 4}));
  }
}

TEST(SafetensorsHeader, AcceptsScalarsAndZeroExtents) {
  const auto header = parse(raw_safetensors(
      "{" + entry("scalar", "F32", "[]", "[0,4]") + "," +
          entry("none", "F32", "[3,0,9223372036854775807]", "[4,4]") + "," +
          entry("after", "U8", "[1]", "[4,5]") + "}",
      5));
  ASSERT_EQ(header.tensors.size(), 3U);
  EXPECT_EQ(header.tensors[0].name, "scalar");
  EXPECT_EQ(header.tensors[0].shape, Shape{});
  EXPECT_EQ(header.tensors[1].name, "none");
  EXPECT_EQ(header.tensors[2].begin, 4);
}

TEST(SafetensorsHeader, AcceptsAnyKeyOrderAndReturnsDataOrder) {
  const auto header = parse(raw_safetensors(
      R"({"b":{"data_offsets":[4,6],"shape":[2],"dtype":"I8"}, )"
      R"("__metadata__":{"k":"v \"q\" \u00e9"},)"
      R"("a":{"shape":[2],"dtype":"BF16","data_offsets":[0,4]}}  )",
      6));
  ASSERT_EQ(header.tensors.size(), 2U);
  EXPECT_EQ(header.tensors[0].name, "a");
  EXPECT_EQ(header.tensors[1].name, "b");
  EXPECT_EQ(header.metadata.at("k"), "v \"q\" \u00e9");
}

TEST(SafetensorsHeader, WritesCanonicalOrder) {
  std::vector<HeaderEntry> tensors = {
      {.name = "z", .dtype = DType::Bool, .shape = {3}},
      {.name = "b", .dtype = DType::BFloat16, .shape = {2, 2}},
      {.name = "a", .dtype = DType::BFloat16, .shape = {}},
      {.name = "c\n", .dtype = DType::Int64, .shape = {1}},
  };
  set_canonical_layout(tensors);
  const std::string bytes =
      write_header(tensors, {{"format", "pt"}, {"a", "\"x\""}});
  EXPECT_EQ(bytes.size() % 8, 0U);
  const std::string expected =
      R"({"__metadata__":{"a":"\"x\"","format":"pt"},)"
      R"("c\n":{"dtype":"I64","shape":[1],"data_offsets":[0,8]},)"
      R"("a":{"dtype":"BF16","shape":[],"data_offsets":[8,10]},)"
      R"("b":{"dtype":"BF16","shape":[2,2],"data_offsets":[10,18]},)"
      R"("z":{"dtype":"BOOL","shape":[3],"data_offsets":[18,21]}})";
  EXPECT_EQ(bytes.substr(8, expected.size()), expected);
  EXPECT_EQ(bytes.substr(8 + expected.size()).find_first_not_of(' '),
            std::string::npos);
  const auto header = parse(bytes + std::string(21, 'x'));
  EXPECT_EQ(header.tensors.size(), 4U);
  EXPECT_EQ(header.metadata.at("a"), "\"x\"");
}

TEST(SafetensorsHeader, RefusesToWriteANameTwice) {
  std::vector<HeaderEntry> tensors = {
      {.name = "a", .dtype = DType::Bool, .shape = {3}},
      {.name = "a", .dtype = DType::Int8, .shape = {3}},
  };
  EXPECT_THROW(set_canonical_layout(tensors), Error);
}

TEST(SafetensorsHeader, RefusesToWriteNamesThatNoFileHolds) {
  const auto refusal = [](const std::string& name) -> std::string {
    const HeaderEntry entry{.name = name, .shape = {}, .begin = 0, .end = 1};
    try {
      write_header({&entry, 1}, {});
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::Usage);
      return error.what();
    }
    return "accepted";
  };
  EXPECT_EQ(refusal("__metadata__"),
            "tensor \"__metadata__\": safetensors keeps this name for its "
            "metadata; give it another name");
  EXPECT_EQ(refusal("a\xff.weight"),
            "tensor \"a\\xff.weight\": names in safetensors files are UTF-8, "
            "and this one is not; give it another name");
  EXPECT_THAT(refusal(std::string(4097, 'n')),
              testing::HasSubstr("a name of 4097 bytes, readers take 4096"));
  EXPECT_EQ(refusal(std::string(4096, 'n')), "accepted");
  EXPECT_EQ(refusal("\u00e9.\u65e5\u672c"), "accepted");
}

TEST(SafetensorsHeader, RefusesToWriteMoreThanTheCap) {
  const std::string big(100'000'000, 'x');
  try {
    write_header({}, {{"k", big}});
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::Usage);
    EXPECT_THAT(error.what(), testing::HasSubstr("100000000"));
  }
}

TEST(SafetensorsHeader, ReadsAHundredThousandTensorsQuickly) {
  std::vector<HeaderEntry> tensors;
  for (int i = 0; i < 100'000; ++i) {
    tensors.push_back(
        {.name = "model.layers.7.mlp.experts." + std::to_string(i) + ".weight",
         .dtype = DType::BFloat16,
         .shape = {1, 8}});
  }
  set_canonical_layout(tensors);
  const std::string bytes =
      write_header(tensors, {}) + std::string(1'600'000, '\0');
  const auto start = support::CpuClock::now();
  const auto header = parse(bytes);
  const std::chrono::duration<double> took = support::CpuClock::now() - start;
  EXPECT_EQ(header.tensors.size(), 100'000U);
  // A bound for loaded machines; about 0.1 s when the machine is free.
  EXPECT_LT(took.count(), 2.0);
  RecordProperty("seconds", std::to_string(took.count()));
}

}  // namespace
}  // namespace mantissa
