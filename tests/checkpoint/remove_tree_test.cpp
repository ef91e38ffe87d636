#include "checkpoint/remove_tree.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <mantissa/core/error.h>

#include "support/temp_dir.h"

namespace mantissa {
namespace {

namespace fs = std::filesystem;
using support::TempDir;
using ::testing::AllOf;
using ::testing::HasSubstr;

class RemoveTreeTest : public ::testing::Test {
 protected:
  fs::path tree() const { return dir_.path() / "tree"; }
  TempDir dir_;
};

std::string refusal(const fs::path& path) {
  try {
    remove_tree(path);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::Target);
    return error.what();
  }
  ADD_FAILURE() << "nothing was refused";
  return {};
}

TEST_F(RemoveTreeTest, RemovesFilesFoldersAndWhatIsNotThere) {
  for (const char* name : {"a", "b/c", "b/d/e", "b/d/f", "g/h", "i/j/k/l"}) {
    dir_.write(std::string("tree/") + name, "x");
  }
  fs::create_directories(tree() / "empty/empty");
  ::mkfifo((tree() / "b/fifo").c_str(), 0600);
  dir_.write("beside", "x");
  remove_tree(tree());
  EXPECT_FALSE(fs::exists(tree()));
  EXPECT_TRUE(fs::exists(dir_.path() / "beside"));
  remove_tree(tree());
  remove_tree(dir_.path() / "beside");
  EXPECT_TRUE(fs::is_empty(dir_.path()));
}

TEST_F(RemoveTreeTest, LinksAreRemovedNotFollowed) {
  dir_.write("kept/file", "x");
  fs::create_directories(tree() / "inside");
  fs::create_directory_symlink(dir_.path() / "kept", tree() / "inside/link");
  fs::create_symlink(dir_.path() / "kept/file", tree() / "file");
  fs::create_symlink("nowhere", tree() / "dangling");
  fs::create_directory_symlink("..", tree() / "inside/up");
  remove_tree(tree());
  EXPECT_FALSE(fs::exists(tree()));
  EXPECT_TRUE(fs::exists(dir_.path() / "kept/file"));
  // The root itself too.
  fs::create_directory_symlink(dir_.path() / "kept", tree());
  remove_tree(tree());
  EXPECT_FALSE(fs::exists(fs::symlink_status(tree())));
  EXPECT_TRUE(fs::exists(dir_.path() / "kept/file"));
}

// Deeper than a process has handles (mostly 1024) and than a path may be long.
TEST_F(RemoveTreeTest, DepthDoesNotMatter) {
  constexpr int kDepth = 1200;
  ASSERT_EQ(::mkdir(tree().c_str(), 0700), 0);
  int here = ::open(tree().c_str(), O_RDONLY | O_DIRECTORY);
  for (int i = 0; i < kDepth; ++i) {
    ASSERT_EQ(::mkdirat(here, "deeper", 0700), 0) << i;
    if (i % 100 == 0) {
      ::close(::openat(here, "file", O_CREAT | O_WRONLY, 0600));
      ASSERT_EQ(::mkdirat(here, "aside", 0700), 0);
    }
    const int next = ::openat(here, "deeper", O_RDONLY | O_DIRECTORY);
    ASSERT_GE(next, 0) << i;
    ::close(here);
    here = next;
  }
  ::close(here);
  remove_tree(tree());
  EXPECT_FALSE(fs::exists(tree()));
}

TEST_F(RemoveTreeTest, ManyEntriesAndFolders) {
  for (int i = 0; i < 600; ++i) {
    const std::string name = "tree/" + std::to_string(i);
    dir_.write(i % 3 == 0 ? name + "/file" : name, "");
  }
  remove_tree(tree());
  EXPECT_FALSE(fs::exists(tree()));
}

// The superuser may do everything: then as nobody.
TEST_F(RemoveTreeTest, WhatCannotBeRemovedIsNamed) {
  dir_.write("tree/sub/file", "x");
  fs::permissions(tree() / "sub", fs::perms(0555));
  fs::permissions(tree(), fs::perms(0777));
  fs::permissions(dir_.path(), fs::perms(0777));
  const bool root = ::geteuid() == 0;
  ASSERT_EQ(root ? ::seteuid(65534) : 0, 0);
  const std::string message = refusal(tree());
  ASSERT_EQ(root ? ::seteuid(0) : 0, 0);
  EXPECT_THAT(
      message,
      AllOf(HasSubstr((tree() / "sub/file").string() + ": cannot remove: "),
            HasSubstr("denied")));
  EXPECT_TRUE(fs::exists(tree() / "sub/file"));
  fs::permissions(tree() / "sub", fs::perms(0755));
}

}  // namespace
}  // namespace mantissa
