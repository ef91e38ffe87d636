#include "checkpoint/manifest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <mantissa/core/error.h>

#include "support/hostile_files.h"

namespace mantissa {
namespace {

using support::HostileFile;
using testing::HasSubstr;

TEST(Manifest, IsReadAsItWasWritten) {
  const Manifest manifest{.tool_version = "1 \"2\"",
                          .files = {{"config.json", {"", 2, 7}}},
                          .tensors = {{"w\n", {"m.safetensors", 4, 9}}}};
  const Manifest read = parse_manifest(manifest.to_json(), "m");
  EXPECT_EQ(read.to_json(), manifest.to_json());
  EXPECT_EQ(read.tool_version, "1 \"2\"");
  EXPECT_EQ(read.files.at("config.json").bytes, 2);
  EXPECT_EQ(read.tensors.at("w\n").file, "m.safetensors");
  EXPECT_EQ(read.tensors.at("w\n").xxh3, 9U);
}

TEST(Manifest, HasHeadersButNeedNot) {
  Manifest manifest{.tool_version = "1", .files = {}, .tensors = {}};
  EXPECT_THAT(manifest.to_json(), testing::Not(HasSubstr("headers")));
  EXPECT_TRUE(parse_manifest(manifest.to_json(), "m").headers.empty());
  manifest.add_header("a.safetensors", "abc");
  const Manifest read = parse_manifest(manifest.to_json(), "m");
  EXPECT_EQ(read.to_json(), manifest.to_json());
  EXPECT_EQ(read.headers.at("a.safetensors").bytes, 3);
  EXPECT_EQ(read.headers.at("a.safetensors").xxh3, 0x78af5f94892f3950U);
}

class ManifestHostile : public testing::TestWithParam<HostileFile> {};

TEST_P(ManifestHostile, IsRefusedByName) {
  try {
    parse_manifest(GetParam().bytes, "a label");
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::Input) << error.what();
    EXPECT_THAT(error.what(), HasSubstr("a label: "));
    EXPECT_THAT(error.what(), HasSubstr(GetParam().says));
  }
}

INSTANTIATE_TEST_SUITE_P(Texts,
                         ManifestHostile,
                         testing::ValuesIn(support::hostile_manifests()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace mantissa
