#include "checkpoint/write_checkpoint.h"

#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <functional>
#include <string>
#include <system_error>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <mantissa/core/error.h>

#include "core/crash_point.h"
#include "support/memory_source.h"
#include "support/small_model.h"
#include "support/temp_dir.h"

namespace mantissa {
namespace {

namespace fs = std::filesystem;
using support::directory_contents;
using ::testing::HasSubstr;

class WriteCheckpointTest : public ::testing::Test {
 protected:
  fs::path out(const char* name = "out") const { return dir_.path() / name; }
  fs::path partial() const { return out().string() + ".partial"; }

  static void write(const fs::path& place,
                    float value,
                    const std::string& name = "a.weight") {
    HostTensor tensor(DType::Float32, {2, 2});
    for (int i = 0; i < 4; ++i) tensor.as<float>()[i] = value;
    support::MemorySource source;
    source.add("part", tensor);
    NewTensor made;
    made.stored.name = name;
    made.stored.type = DialectTensor::kPlain;
    made.stored.parts = {0};
    write_checkpoint(source, {&made, 1}, {.replace = true}, place);
  }

  // Writes in a process of its own, which is killed there; its wait status.
  // Other tests may have read the crash point in this one.
  static int write_apart(const fs::path& place,
                         float value,
                         const std::string& crash_at = "") {
    const pid_t child = ::fork();
    if (child < 0) throw std::system_error(errno, std::generic_category());
    if (child == 0) {
      ::setenv("MANTISSA_CRASH_AT", crash_at.c_str(), 1);
      reread_crash_point();
      try {
        write(place, value);
      } catch (...) {
        ::_exit(1);
      }
      ::_exit(0);
    }
    int status = 0;
    while (::waitpid(child, &status, 0) < 0) {
      if (errno != EINTR) {
        throw std::system_error(errno, std::generic_category());
      }
    }
    return status;
  }

  support::TempDir dir_;
};

std::string refusal(const std::function<void()>& act) {
  try {
    act();
  } catch (const Error& error) {
    return error.what();
  }
  ADD_FAILURE() << "nothing was refused";
  return {};
}

// Whatever the instant, one whole directory stands, and the next write needs no
// help.
TEST_F(WriteCheckpointTest, AKilledOverwriteIsNotInTheWayOfTheNext) {
  ASSERT_EQ(write_apart(out("first"), 1), 0);
  ASSERT_EQ(write_apart(out("second"), 2), 0);
  ASSERT_EQ(write_apart(out("third"), 3), 0);
  const auto first = directory_contents(out("first"));
  for (const char* point : {"publish.before_rename",
                            "publish.after_rename",
                            "publish.old_removed"}) {
    SCOPED_TRACE(point);
    ASSERT_EQ(write_apart(out(), 1), 0);
    const int status = write_apart(out(), 2, std::string(point) + ":1");
    ASSERT_TRUE(WIFSIGNALED(status)) << status;
    auto found = directory_contents(out());
    found.erase(".lock");
    EXPECT_TRUE(found == first || found == directory_contents(out("second")));
    EXPECT_EQ(write_apart(out(), 3), 0);
    EXPECT_EQ(directory_contents(out()), directory_contents(out("third")));
    EXPECT_FALSE(fs::exists(partial()));
  }
}

// The lock names the old directory by an inode, which the next directory at
// OUT.partial may have: a run to come would take its work for the old one.
TEST_F(WriteCheckpointTest, ALockThatOutlivedItsExchangeGoesFirst) {
  ASSERT_EQ(write_apart(out(), 1), 0);
  ASSERT_NE(write_apart(out(), 2, "publish.old_removed:1"), 0);
  ASSERT_TRUE(fs::exists(out() / ".lock"));
  ASSERT_NE(write_apart(out(), 3, "publish.before_rename:1"), 0);
  EXPECT_TRUE(fs::exists(partial()));
  EXPECT_FALSE(fs::exists(out() / ".lock"));
}

TEST_F(WriteCheckpointTest, NamesThatNoFileHoldsAreRefusedBeforeAnything) {
  EXPECT_THAT(
      refusal([&] { write(out(), 1, "__metadata__"); }),
      HasSubstr("tensor \"__metadata__\": safetensors keeps this name"));
  EXPECT_THAT(refusal([&] { write(out(), 1, "a\xff.weight"); }),
              HasSubstr("names in safetensors files are UTF-8"));
  EXPECT_TRUE(fs::is_empty(dir_.path()));
}

}  // namespace
}  // namespace mantissa
