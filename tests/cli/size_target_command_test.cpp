// `plan` and `quantize` with --target-size and --target-bpw.

#include <filesystem>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "support/exchange.h"
#include "support/run_tool.h"
#include "support/small_model.h"
#include "support/temp_dir.h"

namespace mantissa {
namespace {

namespace fs = std::filesystem;
using support::directory_contents;
using support::run_tool;
using support::ToolResult;
using ::testing::HasSubstr;
using ::testing::Not;

class SizeTargetCommandTest : public ::testing::Test {
 protected:
  void SetUp() override { support::write_small_model(model()); }

  fs::path model() const { return directory_.path() / "model"; }
  fs::path out(const std::string& name = "out") const {
    return directory_.path() / name;
  }

  ToolResult run(const char* command, std::vector<std::string> words) {
    std::vector<std::string> all = {command, model().string()};
    all.insert(all.end(), words.begin(), words.end());
    return run_tool(all);
  }

  support::TempDir directory_;
};

TEST_F(SizeTargetCommandTest, TheWeightsFitAndVerify) {
  const ToolResult plan = run("plan", {"--target-bpw", "6.5", "--json"});
  ASSERT_EQ(plan.exit_code, 0) << plan.err;
  const auto planned = nlohmann::json::parse(plan.out);
  const auto bytes = planned.at("output_bytes").get<std::int64_t>();
  EXPECT_LE(bytes, planned.at("target").at("bytes").get<std::int64_t>());
  EXPECT_GT(planned.at("target").at("predicted_divergence").get<double>(), 0.0);
  const ToolResult made =
      run("quantize", {"--target-bpw", "6.5", "-o", out().string()});
  ASSERT_EQ(made.exit_code, 0) << made.err;
  EXPECT_EQ(fs::file_size(out() / "model.safetensors"),
            static_cast<std::uintmax_t>(bytes));
  EXPECT_EQ(run_tool({"verify", out().string()}).exit_code, 0);
}

TEST_F(SizeTargetCommandTest, BytesDoNotDependOnWorkersOrInstructionSet) {
  const auto make = [&](const char* name,
                        const char* workers,
                        std::vector<std::string> environment) {
    std::vector<std::string> words = {"quantize",
                                      model().string(),
                                      "--target-bpw",
                                      "7",
                                      "-o",
                                      out(name).string(),
                                      "-j",
                                      workers};
    const ToolResult made = support::ToolProcess(words, environment).finish();
    EXPECT_EQ(made.exit_code, 0) << made.err;
    return directory_contents(out(name));
  };
  const auto one = make("one", "1", {});
  EXPECT_EQ(one, make("three", "3", {}));
  EXPECT_EQ(one, make("scalar", "2", {"MANTISSA_CPU=scalar"}));
}

TEST_F(SizeTargetCommandTest, ThePlanNamesWhatItChose) {
  const ToolResult plan = run("plan", {"--target-size", "40.5KB"});
  EXPECT_EQ(plan.exit_code, 0) << plan.err;
  EXPECT_THAT(plan.out, HasSubstr("--target-size 40.5KB (40,500 bytes): "));
  EXPECT_THAT(plan.out, HasSubstr("predicted divergence"));
  EXPECT_THAT(plan.out, HasSubstr(",observer=mse"));
}

TEST_F(SizeTargetCommandTest, AMixWithZeroPointsIsOursAlone) {
  const ToolResult plan = run("plan", {"--target-size", "31KB"});
  EXPECT_EQ(plan.exit_code, 0) << plan.err;
  EXPECT_THAT(plan.out, HasSubstr("only Mantissa loads such a mix"));
  EXPECT_THAT(plan.out,
              HasSubstr("this mix of formats: loads in Mantissa alone"));
  EXPECT_THAT(plan.out, Not(HasSubstr("vLLM")));
}

TEST_F(SizeTargetCommandTest, WordsThatDoNotFitAreRefused) {
  const auto refusal = [&](std::vector<std::string> words) {
    const ToolResult result = run("plan", std::move(words));
    EXPECT_EQ(result.exit_code, 2);
    return result.err;
  };
  EXPECT_THAT(refusal({"--target-size", "60KB", "--target-bpw", "4"}),
              HasSubstr("give one of them"));
  EXPECT_THAT(refusal({"--target-size", "60KB", "-c", "int8_weight_only"}),
              HasSubstr("-c: the formats are chosen by the target size"));
  EXPECT_THAT(refusal({"--target-size", "60KB", "--scheme", "W4A16"}),
              HasSubstr("--scheme: the formats are chosen"));
  EXPECT_THAT(refusal({"--target-size", "60KB", "--group-size", "32"}),
              HasSubstr("--group-size: the formats are chosen"));
  EXPECT_THAT(refusal({"--target-size", "1KB"}),
              HasSubstr("the smallest formats that can be chosen take"));
  EXPECT_THAT(refusal({"--target-size", "1.2.3KB"}),
              HasSubstr("expected a size such as 5GB"));
  EXPECT_THAT(refusal({"--target-size", "lots"}),
              HasSubstr("expected a size such as 5GB"));
  EXPECT_NE(run("plan", {"--target-bpw", "0.5"}).exit_code, 0);
  EXPECT_THAT(refusal({"--target-bpw", "nan"}), HasSubstr("expected 1 to 32"));
  EXPECT_THAT(refusal({"--target-size", "1.0000000001MB"}),
              HasSubstr("expected a size such as 5GB"));
  EXPECT_THAT(refusal({"--target-size", "1.00000000000000000000001MB"}),
              HasSubstr("expected a size such as 5GB"));
  // A plan in JSON also says what is wrong.
  const auto json = nlohmann::json::parse(
      run("plan", {"--target-size", "1KB", "--json"}).out);
  EXPECT_EQ(json.at("problems").size(), 1u);
}

}  // namespace
}  // namespace mantissa
