// A run that is killed at any instant and resumed gives the bytes of a run that
// was not.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/stat.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "support/run_tool.h"
#include "support/small_model.h"
#include "support/temp_dir.h"

namespace mantissa {
namespace {

namespace fs = std::filesystem;
using support::directory_contents;
using support::run_tool;
using support::ToolProcess;
using support::ToolResult;
using ::testing::HasSubstr;

constexpr int kKilled = 128 + SIGKILL;

class ResumeTest : public ::testing::Test {
 protected:
  void SetUp() override { support::write_small_model(model()); }

  fs::path model() const { return directory_.path() / "model"; }
  fs::path out(const std::string& name = "out") const {
    return directory_.path() / name;
  }
  fs::path partial() const { return out().string() + ".partial"; }
  fs::path report() const { return out().string() + ".report"; }
  fs::path journal() const { return partial() / ".journal.jsonl"; }

  std::vector<std::string> words(std::vector<std::string> more = {},
                                 const std::string& name = "out") const {
    std::vector<std::string> all = {"quantize",
                                    model().string(),
                                    "-c",
                                    config_,
                                    "--shard-size",
                                    shard_size_,
                                    "-o",
                                    out(name).string()};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }

  ToolResult run(std::vector<std::string> more = {},
                 const std::string& name = "out") const {
    return run_tool(words(std::move(more), name));
  }

  // With one worker, which syncs after each line.
  ToolResult crash(const std::string& where,
                   std::vector<std::string> more = {}) const {
    more.insert(more.end(), {"-j", "1"});
    return ToolProcess(words(std::move(more)), {"MANTISSA_CRASH_AT=" + where})
        .finish();
  }

  // What an uninterrupted run writes.
  const std::map<std::string, std::string>& expected() {
    if (expected_.empty()) {
      fs::remove_all(out("whole"));
      EXPECT_EQ(run({}, "whole").exit_code, 0);
      expected_ = directory_contents(out("whole"));
    }
    return expected_;
  }

  void remove_output() const {
    fs::remove_all(out());
    fs::remove_all(partial());
  }

  // Kills at the n-th passage of a point, resumes and compares, for n = 1, 2,
  // .. until the run no longer comes so far. Returns how often it was killed.
  int kill_at_every(const std::string& point) {
    for (int n = 1;; ++n) {
      SCOPED_TRACE(point + ":" + std::to_string(n));
      remove_output();
      const ToolResult killed = crash(point + ":" + std::to_string(n));
      if (killed.exit_code == 0) return n - 1;
      EXPECT_EQ(killed.exit_code, kKilled) << killed.err;
      const ToolResult resumed = run({"--resume"});
      EXPECT_EQ(resumed.exit_code, 0) << resumed.err;
      EXPECT_EQ(directory_contents(out()), expected());
      EXPECT_FALSE(fs::exists(partial()));
      if (HasFailure()) return n;
    }
  }

  support::TempDir directory_;
  std::string config_ = "int4_weight_only:group_size=32";

  std::string shard_size_ = "20000";
  std::map<std::string, std::string> expected_;
};

TEST_F(ResumeTest, KilledAtAnyStepItGivesTheSameBytes) {
  for (const char* config :
       {"int8_weight_only", "int4_weight_only:group_size=32"}) {
    SCOPED_TRACE(config);
    config_ = config;
    expected_.clear();
    EXPECT_EQ(kill_at_every("journal.started"), 1);
    EXPECT_EQ(kill_at_every("journal.added"), 12);
    EXPECT_EQ(kill_at_every("journal.data_synced"), 12);
    EXPECT_EQ(kill_at_every("journal.written"), 12);
    EXPECT_EQ(kill_at_every("journal.synced"), 12);
    EXPECT_EQ(kill_at_every("report.written"), 1);
    EXPECT_EQ(kill_at_every("publish.before_rename"), 1);
    EXPECT_EQ(kill_at_every("publish.after_rename"), 1);
    EXPECT_EQ(kill_at_every("publish.told"), 1);
    EXPECT_EQ(kill_at_every("publish.old_removed"), 1);
    EXPECT_EQ(kill_at_every("publish.tidied"), 1);
    if (HasFailure()) return;
  }
}

TEST_F(ResumeTest, OutNeverStandsWithoutItsReport) {
  for (const char* point : {"report.written:1",
                            "publish.before_rename:1",
                            "publish.after_rename:1",
                            "publish.told:1",
                            "publish.old_removed:1",
                            "publish.tidied:1"}) {
    SCOPED_TRACE(point);
    remove_output();
    fs::remove_all(report());
    ASSERT_EQ(crash(point).exit_code, kKilled);
    const auto killed = directory_contents(report());
    if (fs::exists(out())) {
      EXPECT_EQ(killed.size(), 5u);
      EXPECT_THAT(killed.at("summary.json"), HasSubstr("\"outputs_xxh3\""));
      EXPECT_THAT(killed.at("report.html"), HasSubstr("</html>"));
    }
    const ToolResult resumed = run({"--resume"});
    EXPECT_EQ(resumed.exit_code, 0) << resumed.err;
    EXPECT_EQ(directory_contents(out()), expected());
    const auto after = directory_contents(report());
    EXPECT_EQ(after.size(), 5u);
    EXPECT_THAT(after.at("events.jsonl"), HasSubstr("\"event\":\"finished\""));
  }
}

TEST_F(ResumeTest, WhatIsCompleteIsSaidToBeSo) {
  ASSERT_EQ(run().exit_code, 0);
  const auto told = directory_contents(report());
  const ToolResult again = run({"--resume"});
  EXPECT_EQ(again.exit_code, 0) << again.err;
  EXPECT_EQ(again.out,
            out().string() + ": complete already, nothing is left to do\n");
  EXPECT_EQ(directory_contents(report()), told);
  const ToolResult json = run({"--resume", "--json"});
  EXPECT_EQ(json.exit_code, 0) << json.err;
  EXPECT_THAT(json.out, HasSubstr("\"published_earlier\": true"));
  const ToolResult missed = run({"--resume", "--min-sqnr", "99"});
  EXPECT_EQ(missed.exit_code, 5) << missed.err;
  EXPECT_THAT(missed.err, HasSubstr("--min-sqnr 99"));
  EXPECT_EQ(run({"--resume", "--min-sqnr", "3"}).exit_code, 0);
  EXPECT_EQ(directory_contents(out()), expected());
  EXPECT_EQ(run().exit_code, 2) << "only for --resume";
}

TEST_F(ResumeTest, WhatAnotherRunPublishedIsRefused) {
  const auto refused = [&](std::vector<std::string> more,
                           const char* why =
                               "is of a run with another input, "
                               "other options") {
    more.push_back("--resume");
    const ToolResult result = run(std::move(more));
    EXPECT_EQ(result.exit_code, 2) << result.err;
    EXPECT_THAT(result.err, HasSubstr("is complete"));
    EXPECT_THAT(result.err, HasSubstr(why));
    EXPECT_THAT(result.err, HasSubstr("--force"));
  };
  ASSERT_EQ(run().exit_code, 0);
  refused({"--no-report"}, "whether that was this one is not known");
  refused({"--ignore", "re:.*layers.1.*"});
  refused({"--dtype", "float16"});
  const auto time = fs::last_write_time(model() / "model.safetensors");
  fs::last_write_time(model() / "model.safetensors",
                      time + std::chrono::seconds(1));
  refused({});
  fs::last_write_time(model() / "model.safetensors", time);
  EXPECT_EQ(run({"--resume"}).exit_code, 0);
  // A report of this run, and beside it files of another.
  config_ = "int8_weight_only";
  ASSERT_EQ(run({"--force", "--no-report"}).exit_code, 0);
  refused({});  // its own files, and beside them the report of another
  config_ = "int4_weight_only:group_size=32";
  refused({}, "whether that was this one is not known");
}

TEST_F(ResumeTest, FinishedTensorsAreNotMadeAgain) {
  crash("journal.synced:8");
  const ToolResult resumed = run({"--resume"});
  EXPECT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_THAT(resumed.out, HasSubstr("8 tensors were taken over"));
}

TEST_F(ResumeTest, WithoutAPartialDirectoryItBeginsAtTheBeginning) {
  EXPECT_EQ(run({"--resume"}).exit_code, 0);
  EXPECT_EQ(directory_contents(out()), expected());
}

TEST_F(ResumeTest, DamagedDataIsMadeAgain) {
  crash("journal.synced:12");
  for (const auto& entry : fs::directory_iterator(partial())) {
    if (entry.path().extension() != ".safetensors") continue;
    std::fstream file(entry.path(),
                      std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(-5, std::ios::end);
    file.put('\x5a');
  }
  EXPECT_EQ(run({"--resume"}).exit_code, 0);
  EXPECT_EQ(directory_contents(out()), expected());
}

TEST_F(ResumeTest, TornAndSenselessLinesEndTheJournal) {
  for (const std::string& rest :
       {std::string("{\"tensor\": \"model.no"),
        std::string("null\n[]\n{}\n"),
        std::string("{\"tensor\": \"model.norm.weight\", \"xxh3\": []}\n"),
        std::string(100'000, '[') + "\n",
        std::string(2'000'000, 'x') + "\n",
        std::string("\0\xff\xfe\n", 4)}) {
    remove_output();
    crash("journal.synced:5");
    std::ofstream(journal(), std::ios::app | std::ios::binary) << rest;
    const ToolResult resumed = run({"--resume"});
    EXPECT_EQ(resumed.exit_code, 0) << resumed.err;
    EXPECT_EQ(directory_contents(out()), expected());
  }
}

TEST_F(ResumeTest, AnotherInputConfigOrVersionIsRefused) {
  const auto refused = [&](std::vector<std::string> more,
                           const std::string& why) {
    more.push_back("--resume");
    const ToolResult result = run(std::move(more));
    EXPECT_EQ(result.exit_code, 2) << result.err;
    EXPECT_THAT(result.err, HasSubstr(why));
    EXPECT_THAT(result.err, HasSubstr("--restart"));
    EXPECT_TRUE(fs::exists(journal())) << "lost what was done";
  };
  crash("journal.synced:5");
  refused({"--ignore", "re:.*layers.1.*"}, "config");
  shard_size_ = "30000";
  refused({}, "options");
  shard_size_ = "20000";
  const auto time = fs::last_write_time(model() / "model.safetensors");
  fs::last_write_time(model() / "model.safetensors",
                      time + std::chrono::seconds(1));
  refused({}, "input");
  fs::last_write_time(model() / "model.safetensors", time);
  std::string text = directory_contents(partial())[".journal.jsonl"];
  const std::string version = "\"tool_version\":\"";
  text.insert(text.find(version) + version.size(), "9");
  std::ofstream(journal(), std::ios::binary) << text;
  refused({}, "version");
  EXPECT_EQ(run({"--restart"}).exit_code, 0);
  EXPECT_EQ(directory_contents(out()), expected());
}

// What another program put there would be published as a part of OUT.
TEST_F(ResumeTest, FilesThatTheRunDoesNotWriteAreRefused) {
  const auto refused = [&](const fs::path& name) {
    SCOPED_TRACE(name);
    const ToolResult result = run({"--resume"});
    EXPECT_EQ(result.exit_code, 2) << result.err;
    EXPECT_THAT(result.err, HasSubstr(name.string()));
    EXPECT_THAT(result.err, HasSubstr("--restart"));
    EXPECT_FALSE(fs::exists(out()));
    fs::remove(partial() / name);
  };
  crash("journal.synced:5");
  std::ofstream(partial() / "evil.txt") << "x";
  refused("evil.txt");
  fs::create_directory(partial() / "original");
  refused("original");
  shard_size_ = "5GB";
  remove_output();
  crash("publish.before_rename:1");
  std::ofstream(partial() / "model.safetensors.index.json") << "{}";
  refused("model.safetensors.index.json");
  fs::remove(partial() / "tokenizer.json");
  fs::create_symlink(model() / "tokenizer.json", partial() / "tokenizer.json");
  refused("tokenizer.json");
  EXPECT_EQ(run({"--resume"}).exit_code, 0);
  EXPECT_EQ(directory_contents(out()), expected());
}

TEST_F(ResumeTest, ALockThatIsNoFileDoesNotHang) {
  crash("journal.synced:5");
  fs::remove(partial() / ".lock");
  ASSERT_EQ(::mkfifo((partial() / ".lock").c_str(), 0666), 0);
  for (const char* flag : {"--resume", "--restart"}) {
    const ToolResult result = run({flag});
    EXPECT_EQ(result.exit_code, 3) << result.err;
    EXPECT_THAT(result.err, HasSubstr(".lock: is no regular file"));
  }
}

TEST_F(ResumeTest, SignalsLeaveAValidJournal) {
  for (const int signal : {SIGINT, SIGTERM}) {
    remove_output();
    const ToolResult stopped =
        crash("journal.added:4:" + std::to_string(signal));
    EXPECT_EQ(stopped.exit_code, 128 + signal);
    EXPECT_THAT(stopped.err, HasSubstr("--resume"));
    const ToolResult resumed = run({"--resume"});
    EXPECT_EQ(resumed.exit_code, 0) << resumed.err;
    EXPECT_THAT(resumed.out, HasSubstr("4 tensors were taken over"));
    EXPECT_EQ(directory_contents(out()), expected());
  }
}

TEST_F(ResumeTest, ForceKilledHalfWayLeavesOneWholeDirectory) {
  const auto without_traces = [&](const fs::path& directory) {
    auto files = directory_contents(directory);
    files.erase(".lock");
    files.erase(".journal.jsonl");
    return files;
  };
  for (const char* point : {"journal.synced:3",
                            "publish.before_rename:1",
                            "publish.after_rename:1",
                            "publish.old_removed:1"}) {
    SCOPED_TRACE(point);
    remove_output();
    ASSERT_EQ(run_tool({"quantize",
                        model().string(),
                        "-c",
                        "int8_weight_only",
                        "-o",
                        out().string()})
                  .exit_code,
              0);
    const auto old = directory_contents(out());
    EXPECT_EQ(crash(point, {"--force"}).exit_code, kKilled);
    const auto found = without_traces(out());
    EXPECT_TRUE(found == old || found == expected());
    EXPECT_EQ(run({"--force", "--resume"}).exit_code, 0);
    EXPECT_EQ(directory_contents(out()), expected());
    EXPECT_FALSE(fs::exists(partial()));
  }
}

// After the exchange OUT is the new directory and OUT.partial the old one: it
// belongs to nobody any more, so that no flag is needed to be rid of it.
TEST_F(ResumeTest, ForceKilledAfterTheExchangeNeedsNoFurtherFlag) {
  for (const char* more : {"", "--restart", "--resume"}) {
    SCOPED_TRACE(more);
    remove_output();
    ASSERT_EQ(run().exit_code, 0);
    EXPECT_EQ(crash("publish.after_rename:1", {"--force"}).exit_code, kKilled);
    EXPECT_TRUE(fs::exists(partial()));
    std::vector<std::string> words = {"--force"};
    if (*more != 0) words.push_back(more);
    const ToolResult again = run(words);
    EXPECT_EQ(again.exit_code, 0) << again.err;
    EXPECT_EQ(directory_contents(out()), expected());
    EXPECT_FALSE(fs::exists(partial()));
  }
}

TEST_F(ResumeTest, AnotherDirectoryAtThePartialPlaceIsNotDeleted) {
  ASSERT_EQ(run().exit_code, 0);
  EXPECT_EQ(crash("publish.after_rename:1", {"--force"}).exit_code, kKilled);
  fs::rename(partial(), directory_.path() / "elsewhere");
  fs::create_directory(partial());
  std::ofstream(partial() / "config.json") << "{}";
  const ToolResult again = run({"--force", "--restart"});
  EXPECT_EQ(again.exit_code, 2) << again.err;
  EXPECT_THAT(again.err, HasSubstr("was not made by mantissa"));
  EXPECT_TRUE(fs::exists(partial() / "config.json"));
}

TEST_F(ResumeTest, TheSecondRunSaysWhoHoldsTheLock) {
  ToolProcess first(words(), {"MANTISSA_CRASH_AT=journal.added:2:19"});
  ASSERT_TRUE(first.wait_stopped());
  for (const char* flag : {"", "--resume", "--restart"}) {
    const ToolResult second = run(*flag == 0 ? std::vector<std::string>{}
                                             : std::vector<std::string>{flag});
    EXPECT_EQ(second.exit_code, 3) << second.err;
    EXPECT_THAT(second.err, HasSubstr("locked by process"));
  }
  first.signal(SIGCONT);
  EXPECT_EQ(first.finish().exit_code, 0);
  EXPECT_EQ(directory_contents(out()), expected());
}

// A kill right after the old directory is gone leaves a lock that names it by
// its inode, which file systems give to the next directory.
TEST_F(ResumeTest, ANewRunIsNotTakenForWhatAnOldOneReplaced) {
  ASSERT_EQ(run().exit_code, 0);
  ASSERT_EQ(crash("publish.old_removed:1", {"--force"}).exit_code, kKilled);
  config_ = "float8_weight_only";
  ASSERT_EQ(crash("journal.added:2", {"--force"}).exit_code, kKilled);
  const ToolResult refused = run({"--force"});
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.err, HasSubstr("another run was stopped"));
  EXPECT_TRUE(fs::exists(journal()));
  const ToolResult resumed = run({"--force", "--resume"});
  EXPECT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_EQ(directory_contents(out()), expected());
}

TEST_F(ResumeTest, StatusOnRequest) {
  ToolProcess tool(words(), {"MANTISSA_CRASH_AT=journal.added:2:19"});
  ASSERT_TRUE(tool.wait_stopped());
  tool.signal(SIGUSR1);
  tool.signal(SIGCONT);
  // The run may be over before the next tick; either way it ends well.
  EXPECT_EQ(tool.finish().exit_code, 0);
}

// `times` kills at random moments of a run that takes some tenths of a second.
void kill_at_random(const fs::path& model,
                    const fs::path& out,
                    const fs::path& whole,
                    int times,
                    unsigned seed) {
  const std::vector<std::string> words = {
      "quantize", model.string(), "-c", "int8_weight_only", "-q", "-o"};
  const auto with = [&](const fs::path& place, bool resume) {
    std::vector<std::string> all = words;
    all.push_back(place.string());
    if (resume) all.push_back("--resume");
    return all;
  };
  const auto begin = std::chrono::steady_clock::now();
  ASSERT_EQ(run_tool(with(whole, false)).exit_code, 0);
  const std::chrono::duration<double> takes =
      std::chrono::steady_clock::now() - begin;
  const auto expected = directory_contents(whole);
  std::mt19937 random(seed);
  std::uniform_real_distribution<double> moment(0, takes.count());
  for (int i = 0; i < times; ++i) {
    fs::remove_all(out);
    for (int kills = 0; !fs::exists(out); ++kills) {
      ToolProcess tool(with(out, true));
      if (kills < 3) {
        std::this_thread::sleep_for(
            std::chrono::duration<double>(moment(random)));
        tool.signal(SIGKILL);
      }
      const int code = tool.finish().exit_code;
      ASSERT_TRUE(code == 0 || code == kKilled) << code;
    }
    // Killed between rename and end, it is whole but not tidy.
    ASSERT_EQ(run_tool(with(out, true)).exit_code % 2, 0);
    ASSERT_EQ(directory_contents(out), expected) << "kill " << i;
  }
}

TEST(ResumeRandomTest, TwentyKills) {
  const support::TempDir directory;
  support::write_small_model(directory.path() / "model", 12, 512);
  kill_at_random(directory.path() / "model",
                 directory.path() / "out",
                 directory.path() / "whole",
                 20,
                 1);
}

TEST(ResumeRandomTest, NightlyThousandKills) {
  const support::TempDir directory;
  support::write_small_model(directory.path() / "model", 12, 512);
  kill_at_random(directory.path() / "model",
                 directory.path() / "out",
                 directory.path() / "whole",
                 1000,
                 2);
}

}  // namespace
}  // namespace mantissa
