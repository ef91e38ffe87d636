#include <map>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "support/exchange.h"
#include "support/run_tool.h"
#include "support/temp_dir.h"

namespace mantissa {
namespace {

using support::run_tool;
using support::ToolResult;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class InspectCommand : public testing::Test {
 protected:
  void SetUp() override {
    std::map<std::string, HostTensor> tensors;
    for (const char* layer : {"0", "1", "2"}) {
      tensors[std::string("layers.") + layer + ".mlp.weight"] =
          HostTensor(DType::BFloat16, {8, 4});
    }
    tensors["norm.weight"] = HostTensor(DType::Float32, {4});
    support::save_tensors(dir_.path() / "model.safetensors", tensors);
    dir_.write("config.json", R"({"architectures": ["TinyModel"]})");
  }

  ToolResult inspect(std::vector<std::string> flags) {
    flags.insert(flags.begin(), {"inspect", dir_.path().string()});
    return run_tool(flags);
  }

  support::TempDir dir_;
};

TEST_F(InspectCommand, ShowsATable) {
  const ToolResult result = inspect({});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(
      result.out,
      "safetensors directory, TinyModel: 4 tensors, 100 values, 208 B, 16.64 "
      "bits per value\n"
      "not quantized\n"
      "\n"
      "tensor                       shape   stored as   bits   size  share\n"
      "layers.[0-2].mlp.weight  x3  [8, 4]  BF16       16.00  192 B  92.3%\n"
      "norm.weight                  [4]     F32        32.00   16 B   7.7%\n");
}

TEST_F(InspectCommand, ShowsATree) {
  EXPECT_THAT(
      inspect({"--tree"}).out,
      AllOf(HasSubstr("layers.[0-2].mlp.weight"), HasSubstr("norm.weight")));
}

TEST_F(InspectCommand, ShowsEveryTensorAndItsStatistics) {
  EXPECT_THAT(inspect({"--all"}).out,
              AllOf(HasSubstr("layers.1.mlp.weight"), Not(HasSubstr("zeros"))));
  EXPECT_THAT(inspect({"--stats", "-j", "2"}).out,
              AllOf(HasSubstr("layers.2.mlp.weight"),
                    HasSubstr("nonfinite"),
                    HasSubstr("100.0%")));
}

TEST_F(InspectCommand, WritesJson) {
  const auto json = nlohmann::json::parse(inspect({"--json", "--stats"}).out);
  EXPECT_EQ(json["schema_version"], 1);
  EXPECT_EQ(json["kind"], "safetensors directory");
  EXPECT_EQ(json["totals"]["bytes"], 208);
  ASSERT_EQ(json["tensors"].size(), 4U);
  EXPECT_EQ(json["tensors"][0]["name"], "layers.0.mlp.weight");
  EXPECT_EQ(json["tensors"][0]["stats"]["zeros"], 32);
  EXPECT_EQ(json["tensors"][3]["dtype"], "float32");
}

TEST_F(InspectCommand, ExitCodesTellWhatIsWrong) {
  EXPECT_EQ(run_tool({"inspect"}).exit_code, 2);
  EXPECT_EQ(run_tool({"inspect", "org/name"}).exit_code, 2);
  dir_.write("model.safetensors", "12345678{}");
  const ToolResult result = inspect({});
  EXPECT_EQ(result.exit_code, 4);
  EXPECT_THAT(result.err, HasSubstr("model.safetensors"));
  EXPECT_EQ(result.out, "");
}

}  // namespace
}  // namespace mantissa
