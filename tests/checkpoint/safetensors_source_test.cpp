#include "checkpoint/safetensors_source.h"

#include <filesystem>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <mantissa/core/error.h>

#include "support/raw_safetensors.h"
#include "support/temp_dir.h"

namespace mantissa {
namespace {

namespace fs = std::filesystem;
using support::raw_safetensors;
using support::TempDir;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

const std::string kTwoTensors =
    R"({"__metadata__":{"format":"pt"},)"
    R"("w":{"dtype":"U8","shape":[3,2],"data_offsets":[0,6]},)"
    R"("s":{"dtype":"I16","shape":[],"data_offsets":[6,8]},)"
    R"("z":{"dtype":"F64","shape":[0,9223372036854775807],)"
    R"("data_offsets":[8,8]}})";

std::vector<int> read(const CheckpointSource& source,
                      std::size_t index,
                      std::int64_t row,
                      std::int64_t rows,
                      std::size_t bytes) {
  std::vector<std::uint8_t> out(bytes);
  source.read_rows(index, row, rows, std::as_writable_bytes(std::span(out)));
  return {out.begin(), out.end()};
}

TEST(SafetensorsSource, DeliversRows) {
  const TempDir dir;
  const SafetensorsSource source(
      dir.write("m.safetensors", raw_safetensors(kTwoTensors, 8)), {});
  ASSERT_EQ(source.tensors().size(), 3U);
  EXPECT_EQ(source.kind(), "safetensors");
  EXPECT_EQ(source.tensors()[1].stored_type, "I16");
  EXPECT_EQ(source.tensors()[1].stored_bytes, 2);
  EXPECT_EQ(source.metadata().at("format"), "pt");
  EXPECT_THAT(read(source, 0, 0, 3, 6), ElementsAre(0, 1, 2, 3, 4, 5));
  EXPECT_THAT(read(source, 0, 2, 1, 2), ElementsAre(4, 5));
  EXPECT_THAT(read(source, 0, 3, 0, 0), ElementsAre());
  EXPECT_THAT(read(source, 1, 0, 1, 2), ElementsAre(6, 7));
  EXPECT_THAT(read(source, 2, 0, 0, 0), ElementsAre());
}

TEST(SafetensorsSource, RefusesRowsOutside) {
  const TempDir dir;
  const SafetensorsSource source(
      dir.write("m.safetensors", raw_safetensors(kTwoTensors, 8)), {});
  EXPECT_THROW(read(source, 0, 2, 2, 4), Error);
  EXPECT_THROW(read(source, 0, -1, 1, 2), Error);
  EXPECT_THROW(read(source, 0, 0, 1, 3), Error);
  EXPECT_THROW(read(source, 0, INT64_MAX, 2, 4), Error);
  EXPECT_THROW(read(source, 2, 0, INT64_MAX, 2), Error);
}

TEST(SafetensorsSource, PackedRowsMustBeWholeBytes) {
  const TempDir dir;
  const SafetensorsSource source(
      dir.write("m.safetensors",
                raw_safetensors(R"({"w":{"dtype":"F4","shape":[4,3],)"
                                R"("data_offsets":[0,6]}})",
                                6)),
      {});
  EXPECT_THAT(read(source, 0, 2, 2, 3), ElementsAre(3, 4, 5));
  EXPECT_THROW(read(source, 0, 1, 2, 3), Error);
}

TEST(SafetensorsSource, TruncationIsAnErrorNotASignal) {
  const TempDir dir;
  const fs::path path =
      dir.write("m.safetensors", raw_safetensors(kTwoTensors, 8));
  const SafetensorsSource source(path, {});
  fs::resize_file(path, fs::file_size(path) - 5);
  EXPECT_THAT(read(source, 0, 0, 1, 2), ElementsAre(0, 1));
  try {
    read(source, 0, 0, 3, 6);
    FAIL() << "read past the end";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::Input);
    EXPECT_THAT(error.what(), HasSubstr("when it was opened"));
  }
}

std::string shard(const std::string& name, const std::string& metadata) {
  return raw_safetensors("{\"__metadata__\":{" + metadata + "},\"" + name +
                             R"(":{"dtype":"U8","shape":[2],)"
                             R"("data_offsets":[0,2]}})",
                         2);
}

TEST(SafetensorsSource, JoinsShards) {
  const TempDir dir;
  dir.write("b/two.safetensors", shard("x", R"("k":"1","only":"2")"));
  dir.write("a.safetensors", shard("y", R"("k":"1")"));
  const fs::path index = dir.write(
      "model.safetensors.index.json",
      R"({"metadata":{"total_size":4,"note":["a",{"b":null}]},)"
      R"("weight_map":{"x":"b/two.safetensors","y":"a.safetensors"}})");
  const auto source = SafetensorsSource::from_index(index, {});
  ASSERT_EQ(source->tensors().size(), 2U);
  EXPECT_EQ(source->tensors()[0].name, "y");
  EXPECT_EQ(source->shard_name(1), "b/two.safetensors");
  EXPECT_THAT(read(*source, 1, 0, 1, 2), ElementsAre(0, 1));
  EXPECT_THAT(source->metadata_conflicts(), ElementsAre("only"));
  EXPECT_EQ(source->metadata().at("only"), "2");
}

// A shard that the index forgets would be lost; a file beside it is noted.
TEST(SafetensorsSource, IndexForgetsAShard) {
  const TempDir dir;
  dir.write("m-00001-of-00002.safetensors", shard("x", R"("k":"1")"));
  const fs::path index =
      dir.write("m.safetensors.index.json",
                R"({"metadata":{"total_size":5},"weight_map":{)"
                R"("x":"m-00001-of-00002.safetensors"}})");
  dir.write("other.safetensors", shard("z", R"("k":"1")"));
  dir.write("m-00001-of-00003.safetensors", shard("z", R"("k":"1")"));
  EXPECT_THAT(
      SafetensorsSource::from_index(index, {})->notes(),
      ElementsAre(AllOf(HasSubstr("total_size 5"), HasSubstr("have 2 bytes")),
                  HasSubstr("\"m-00001-of-00003.safetensors\" and 1 more")));
  dir.write("m-00002-of-00002.safetensors", shard("y", R"("k":"1")"));
  try {
    SafetensorsSource::from_index(index, {});
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::Input);
    EXPECT_THAT(error.what(),
                HasSubstr("names no tensor of \"m-00002-of-00002.safetensors\""
                          ", one of the 2 shards"));
  }
}

TEST(SafetensorsSource, FingerprintTellsInputsApart) {
  const TempDir dir;
  const std::string bytes = raw_safetensors(kTwoTensors, 8);
  const auto fingerprint = [&](const std::string& name,
                               const std::string& content,
                               const std::string& config) {
    return SafetensorsSource(dir.write(name, content),
                             {.kind = "x", .root = {}, .config_json = config})
        .fingerprint();
  };
  const std::string base = fingerprint("a.safetensors", bytes, "{}");
  EXPECT_EQ(base.size(), 32U);
  EXPECT_EQ(base, fingerprint("b.safetensors", bytes, "{}"));
  EXPECT_NE(base, fingerprint("b.safetensors", bytes, "{ }"));
  std::string other = bytes;
  other[other.find("pt\"")] = 'P';
  EXPECT_NE(base, fingerprint("b.safetensors", other, "{}"));
}

}  // namespace
}  // namespace mantissa
