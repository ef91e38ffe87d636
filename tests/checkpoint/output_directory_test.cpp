#include "checkpoint/output_directory.h"

#include <fstream>
#include <iterator>
#include <optional>
#include <string>

#include <gtest/gtest.h>

#include "support/temp_dir.h"

namespace mantissa {
namespace {

namespace fs = std::filesystem;

std::string text_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// Another run begins between a first rename to OUT and its end.
TEST(OutputDirectoryTest, ARunThatBeganMeanwhileKeepsItsPartial) {
  const support::TempDir dir;
  const fs::path out = dir.path() / "out";
  OutputDirectory first(out, {});
  first.write_text(OutputDirectory::kJournal, "");
  first.write_text("config.json", "first");
  std::optional<OutputDirectory> second;
  first.publish([&] {
    second.emplace(out, Existing{.replace = true});
    second->write_text("config.json", "second");
  });
  EXPECT_EQ(text_of(out / "config.json"), "first");
  EXPECT_EQ(text_of(partial_path(out) / "config.json"), "second");
  second->publish();
  EXPECT_EQ(text_of(out / "config.json"), "second");
  EXPECT_FALSE(fs::exists(partial_path(out)));
  EXPECT_FALSE(fs::exists(out / OutputDirectory::kJournal));
}

}  // namespace
}  // namespace mantissa
