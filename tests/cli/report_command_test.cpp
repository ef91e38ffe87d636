// The report, the events, the threshold and the progress of a run, seen from
// outside.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pty.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include <nlohmann/json.hpp>

#include "support/run_tool.h"
#include "support/small_model.h"
#include "support/temp_dir.h"

namespace mantissa {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using support::directory_contents;
using support::run_tool;
using support::ToolResult;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;

std::string read(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

class ReportCommandTest : public ::testing::Test {
 protected:
  void SetUp() override { support::write_small_model(model()); }

  fs::path model() const { return directory_.path() / "model"; }
  fs::path out() const { return directory_.path() / "out"; }
  fs::path report() const { return directory_.path() / "out.report"; }

  std::vector<std::string> words(std::vector<std::string> more) const {
    std::vector<std::string> all = {"quantize",
                                    model().string(),
                                    "-c",
                                    "int8_weight_only",
                                    "-o",
                                    out().string()};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  ToolResult quantize(std::vector<std::string> more = {}) const {
    return run_tool(words(std::move(more)));
  }

  std::vector<Json> events() const {
    std::istringstream lines(read(report() / "events.jsonl"));
    std::vector<Json> out;
    for (std::string line; std::getline(lines, line);) {
      out.push_back(Json::parse(line));
    }
    return out;
  }

  support::TempDir directory_;
};

TEST_F(ReportCommandTest, StandsBesideOutAndNotInIt) {
  ASSERT_EQ(quantize({"--no-report"}).exit_code, 0);
  EXPECT_FALSE(fs::exists(report()));
  const auto without = directory_contents(out());
  ASSERT_EQ(quantize({"--force"}).exit_code, 0);
  EXPECT_EQ(directory_contents(out()), without);
  for (const char* file : {"report.html",
                           "report.md",
                           "summary.json",
                           "tensors.csv",
                           "events.jsonl"}) {
    EXPECT_TRUE(fs::exists(report() / file)) << file;
  }
  const Json summary = Json::parse(read(report() / "summary.json"));
  EXPECT_EQ(summary["command"][0], "mantissa");
  EXPECT_EQ(summary["command"][1], "quantize");
  EXPECT_EQ(summary["counts"]["quantize"], 6);
  EXPECT_EQ(summary["quality"]["measured_tensors"], 6);
}

TEST_F(ReportCommandTest, AgreesWithDiff) {
  ASSERT_EQ(quantize().exit_code, 0);
  const Json summary = Json::parse(read(report() / "summary.json"));
  const ToolResult diff =
      run_tool({"diff", model().string(), out().string(), "--all", "--json"});
  ASSERT_EQ(diff.exit_code, 0) << diff.err;
  std::map<std::string, double> sqnr;
  const Json compared = Json::parse(diff.out);
  for (const Json& tensor : compared["tensors"]) {
    if (tensor["sqnr_db"].is_number()) {
      sqnr[tensor["name"]] = tensor["sqnr_db"];
    }
  }
  ASSERT_EQ(summary["quality"]["worst"].size(), 6u);
  for (const Json& worst : summary["quality"]["worst"]) {
    const std::string name = worst["name"];
    ASSERT_TRUE(sqnr.contains(name)) << name;
    EXPECT_NEAR(worst["sqnr_db"].get<double>(), sqnr[name], 0.01) << name;
  }
}

TEST_F(ReportCommandTest, SameForAnyNumberOfWorkers) {
  std::map<std::string, std::string> one;
  for (const char* workers : {"1", "2", "8"}) {
    ASSERT_EQ(quantize({"--force", "-j", workers}).exit_code, 0);
    const std::string table = read(report() / "tensors.csv");
    const Json summary = Json::parse(read(report() / "summary.json"));
    const std::string heat = summary["heat_map"].dump();
    if (one.empty()) one = {{"table", table}, {"heat", heat}};
    EXPECT_EQ(one["table"], table);
    EXPECT_EQ(one["heat"], heat);
  }
}

TEST_F(ReportCommandTest, RefusesAPlaceInACheckpoint) {
  for (const fs::path& place : {out() / "report", model() / "report", out()}) {
    const ToolResult result = quantize({"--report", place.string()});
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_THAT(result.err, HasSubstr("--report"));
    EXPECT_FALSE(fs::exists(out()));
  }
  const fs::path other = directory_.path() / "reports" / "today";
  EXPECT_EQ(quantize({"--report", other.string()}).exit_code, 0);
  EXPECT_TRUE(fs::exists(other / "report.html"));
  EXPECT_FALSE(fs::exists(report()));
}

TEST_F(ReportCommandTest, TroubleWithTheReportIsAWarning) {
  std::ofstream(report()) << "a file stands here";
  const ToolResult result = quantize();
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(result.err, HasSubstr("warning: report:"));
  EXPECT_THAT(result.err, HasSubstr("is complete"));
  EXPECT_EQ(run_tool({"verify", out().string()}).exit_code, 0);
}

TEST_F(ReportCommandTest, FilesOfOthersAreLeftAlone) {
  const fs::path other = directory_.path() / "other";
  const auto refused = [&](const fs::path& place, const std::string& why) {
    SCOPED_TRACE(place);
    for (const std::vector<std::string>& more :
         {std::vector<std::string>{"--dry-run"}, std::vector<std::string>{}}) {
      std::vector<std::string> all = {"--report", place.string()};
      all.insert(all.end(), more.begin(), more.end());
      const ToolResult result = quantize(all);
      EXPECT_EQ(result.exit_code, 2) << result.err;
      EXPECT_THAT(result.err, HasSubstr(place.string()));
      EXPECT_THAT(result.err, HasSubstr(why));
      EXPECT_THAT(result.err, HasSubstr("--no-report"));
      EXPECT_FALSE(fs::exists(out()));
    }
  };
  fs::create_directory(other);
  for (const char* file :
       {"experts.csv", "summary.json", "events.jsonl", "notes.txt"}) {
    std::ofstream(other / file) << "{\"of\": \"another\"}\n";
    const auto before = directory_contents(other);
    refused(other, "holds files that are no report");
    EXPECT_EQ(directory_contents(other), before);
    fs::remove(other / file);
  }
  std::ofstream(directory_.path() / "file") << "x";
  refused(directory_.path() / "file", "is no folder");
  refused(directory_.path() / "file" / "report", "is no folder");
  // The default place is looked at in the same way.
  fs::create_directory(report());
  std::ofstream(report() / "experts.csv") << "x";
  EXPECT_EQ(quantize().exit_code, 2);
  EXPECT_TRUE(fs::exists(report() / "experts.csv"));
  EXPECT_EQ(quantize({"--no-report"}).exit_code, 0);
}

TEST_F(ReportCommandTest, EarlierReportsAreReplacedAlsoThoseOfStoppedRuns) {
  const fs::path other = directory_.path() / "other";
  fs::create_directory(other);
  EXPECT_EQ(quantize({"--report", other.string()}).exit_code, 0) << "empty";
  EXPECT_EQ(quantize({"--report", other.string(), "--force"}).exit_code, 0);
  const std::string events = read(other / "events.jsonl");
  fs::remove_all(other);
  fs::create_directory(other);
  std::ofstream(other / "events.jsonl") << events;
  std::ofstream(other / "summary.json.new") << "{";
  EXPECT_EQ(quantize({"--report", other.string(), "--force"}).exit_code, 0);
  EXPECT_TRUE(fs::exists(other / "report.html"));
  EXPECT_FALSE(fs::exists(other / "summary.json.new"));
}

TEST_F(ReportCommandTest, WritesThroughNoLink) {
  ASSERT_EQ(quantize().exit_code, 0);
  const fs::path victim = directory_.path() / "victim";
  std::ofstream(victim) << "keep";
  for (const char* file : {"events.jsonl", "report.html", "report.md.new"}) {
    fs::remove(report() / file);
    fs::create_symlink(victim, report() / file);
  }
  const ToolResult result = quantize({"--force"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.err, HasSubstr("events.jsonl could not be written"));
  EXPECT_EQ(read(victim), "keep");
  EXPECT_THAT(read(report() / "report.html"), HasSubstr("</html>"));
}

TEST_F(ReportCommandTest, ConvertReportsOnRequest) {
  const fs::path plain = directory_.path() / "plain";
  std::vector<std::string> command = {
      "convert", model().string(), "--dtype", "float16", "-o", plain.string()};
  ASSERT_EQ(run_tool(command).exit_code, 0);
  EXPECT_FALSE(fs::exists(plain.string() + ".report"));
  command.insert(command.end(), {"--force", "--report", report().string()});
  ASSERT_EQ(run_tool(command).exit_code, 0);
  EXPECT_THAT(read(report() / "report.html"),
              HasSubstr("Nothing was quantized"));
}

TEST_F(ReportCommandTest, ThresholdExitsWithFiveAndKeepsOut) {
  EXPECT_EQ(quantize({"--min-sqnr", "10"}).exit_code, 0);
  const ToolResult result = quantize({"--min-sqnr", "99", "--force"});
  EXPECT_EQ(result.exit_code, 5);
  EXPECT_THAT(result.err, HasSubstr("--min-sqnr 99: 6 tensors lie below it"));
  EXPECT_THAT(result.err, HasSubstr("q_proj.weight"));
  EXPECT_THAT(result.err, HasSubstr("and 1 more"));
  EXPECT_EQ(run_tool({"verify", out().string()}).exit_code, 0);
  EXPECT_THAT(read(report() / "report.html"), HasSubstr("Threshold missed"));
}

TEST_F(ReportCommandTest, EventsMirrorTheRun) {
  ASSERT_EQ(quantize().exit_code, 0);
  const std::vector<Json> all = events();
  ASSERT_GE(all.size(), 14u);
  EXPECT_EQ(all.front()["event"], "started");
  EXPECT_EQ(all.front()["schema_version"], 1);
  EXPECT_EQ(all.back()["event"], "finished");
  int tensors = 0;
  int measured = 0;
  for (const Json& event : all) {
    tensors += event["event"] == "tensor" ? 1 : 0;
    measured += event.contains("sqnr_db") ? 1 : 0;
  }
  EXPECT_EQ(tensors, 12);
  EXPECT_EQ(measured, 6);
}

TEST_F(ReportCommandTest, RefusedRunsLeaveNoReport) {
  EXPECT_EQ(quantize({"--group-size", "48"}).exit_code, 6);
  EXPECT_FALSE(fs::exists(report()));
  EXPECT_EQ(quantize({"--dry-run"}).exit_code, 0);
  EXPECT_FALSE(fs::exists(report()));
}

TEST_F(ReportCommandTest, VerboseKeepsLlamaCppsOrder) {
  const ToolResult result = quantize({"-v", "-j", "1"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(
      result.err,
      ContainsRegex("\\[ *[0-9]+/12\\] model\\.layers\\.0\\.self_attn\\."
                    "q_proj\\.weight - \\[64, 64\\], BF16 -> "
                    "Int8Tensor, 8\\.2 kB -> [0-9.]+ kB, SQNR "
                    "[0-9.]+ dB"));
  EXPECT_THAT(result.err, Not(HasSubstr("\033")));
  EXPECT_EQ(quantize({"-v", "-q", "--force"}).err, "");
}

TEST_F(ReportCommandTest, ColorIsCheckedFirst) {
  const ToolResult result = quantize({"--color", "mauve"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("auto, always or never"));
  EXPECT_FALSE(fs::exists(out()));
}

// Runs the tool on a terminal and returns what it shows.
std::string on_terminal(const std::vector<std::string>& arguments,
                        const std::map<std::string, std::string>& environment) {
  int terminal = -1;
  winsize size{24, 60, 0, 0};
  const pid_t child = ::forkpty(&terminal, nullptr, nullptr, &size);
  if (child == 0) {
    for (const auto& [name, value] : environment) {
      ::setenv(name.c_str(), value.c_str(), 1);
    }
    std::vector<char*> words = {const_cast<char*>("mantissa")};
    for (const std::string& word : arguments) {
      words.push_back(const_cast<char*>(word.c_str()));
    }
    words.push_back(nullptr);
    ::execv(MANTISSA_TOOL, words.data());
    ::_exit(127);
  }
  std::string shown;
  char buffer[4096];
  for (ssize_t got; (got = ::read(terminal, buffer, sizeof(buffer))) > 0;) {
    shown.append(buffer, static_cast<std::size_t>(got));
  }
  ::close(terminal);
  ::waitpid(child, nullptr, 0);
  return shown;
}

TEST_F(ReportCommandTest, TerminalGetsAStatusLineThatFits) {
  support::write_small_model(directory_.path() / "larger", 24, 512);
  std::vector<std::string> command = words({"-j", "1"});
  command[1] = (directory_.path() / "larger").string();
  const std::string shown = on_terminal(command, {{"TERM", "xterm"}});
  EXPECT_THAT(shown, HasSubstr("\r\033[J"));
  EXPECT_THAT(shown, ContainsRegex("\\[[0-9]+/[0-9]+\\] [0-9.]+ [kM]?B of "));
  EXPECT_THAT(shown, HasSubstr("\033[1m")) << "bold on a terminal";
  command.insert(command.end(), {"--force"});
  const std::string plain =
      on_terminal(command, {{"TERM", "xterm"}, {"NO_COLOR", "1"}});
  EXPECT_THAT(plain, HasSubstr("\r\033[J"));
  EXPECT_THAT(plain, Not(HasSubstr("\033[1m")));
  command.insert(command.end(), {"--no-progress"});
  EXPECT_THAT(on_terminal(command, {{"TERM", "xterm"}}),
              Not(HasSubstr("\033")));
}

}  // namespace
}  // namespace mantissa
