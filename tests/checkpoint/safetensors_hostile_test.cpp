#include <filesystem>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <mantissa/checkpoint/source.h>
#include <mantissa/core/error.h>

#include "checkpoint/safetensors_header.h"
#include "checkpoint/safetensors_index.h"
#include "support/hostile_files.h"
#include "support/raw_safetensors.h"
#include "support/temp_dir.h"

namespace mantissa {
namespace {

using support::HostileFile;
using support::index_with;
using support::TempDir;
using support::w_entry;
using support::with_entries;
using testing::HasSubstr;

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

const std::string kGood = w_entry("[4]", "[0,4]");

class SafetensorsHostile : public testing::TestWithParam<HostileFile> {};

TEST_P(SafetensorsHostile, IsRefusedByName) {
  const TempDir dir;
  expect_input_error(dir.write("model.safetensors", GetParam().bytes),
                     GetParam().says);
}

INSTANTIATE_TEST_SUITE_P(Files,
                         SafetensorsHostile,
                         testing::ValuesIn(support::hostile_safetensors()),
                         [](const auto& info) { return info.param.name; });

TEST(SafetensorsHostile, EveryPrefixOfAGoodFileIsRefused) {
  const std::string bytes =
      with_entries("\"__metadata__\":{\"a\":\"b\"}," + kGood, 4);
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
  const std::string bytes = with_entries(
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

class IndexHostile : public testing::TestWithParam<HostileFile> {};

TEST_P(IndexHostile, IsRefusedByName) {
  const TempDir dir;
  dir.write("a.safetensors", with_entries(kGood, 4));
  dir.write("c.safetensors",
            with_entries("\"u\":{\"dtype\":\"U8\",\"shape\":[1],"
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
                         testing::ValuesIn(support::hostile_indexes()),
                         [](const auto& info) { return info.param.name; });

TEST(IndexHostile, TensorInTwoShardsIsRefused) {
  const TempDir dir;
  dir.write("a.safetensors", with_entries(kGood, 4));
  dir.write("b.safetensors",
            with_entries(kGood + ",\"v\":{\"dtype\":\"U8\",\"shape\":[1],"
                                 "\"data_offsets\":[4,5]}",
                         5));
  const auto path =
      dir.write("model.safetensors.index.json",
                index_with(R"("w":"a.safetensors","v":"b.safetensors")"));
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
  const auto path = dir.write("model.safetensors.index.json",
                              index_with("\"w\":\"a.safetensors\""));
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
