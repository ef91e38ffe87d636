#include <limits>
#include <map>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "support/exchange.h"
#include "support/raw_gguf.h"
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

class ForeignGguf : public testing::Test {
 protected:
  ForeignGguf() {
    file_ = support::RawGguf::tiny_llama();
    file_.set_string("general.architecture", "qwen2")
        .set_f32_tensor("blk.0.ffn_gate_exps.weight",
                        {2, 3, 2},
                        {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11})
        .set_f32_tensor("empty.weight", {4, 0}, {});
    write();
  }

  void write() { path_ = dir_.write("model.gguf", file_.bytes()).string(); }

  support::TempDir dir_;
  support::RawGguf file_;
  std::string path_;
};

TEST_F(ForeignGguf, IsInspectedAsItStands) {
  const ToolResult table = run_tool({"inspect", path_});
  EXPECT_EQ(table.exit_code, 0) << table.err;
  EXPECT_THAT(
      table.out,
      AllOf(HasSubstr("note: `convert` and `quantize` do not take this "
                      "file: GGUF key \"general.architecture\": "
                      "\"qwen2\" is not supported; this version "
                      "converts: llama (dense or with experts), qwen3moe\n"),
            HasSubstr("blk.0.ffn_gate_exps.weight    [2, 3, 2]  F32"),
            HasSubstr("token_embd.weight"),
            HasSubstr("48 B")));
  const ToolResult stats = run_tool({"inspect", path_, "--stats", "--json"});
  EXPECT_EQ(stats.exit_code, 0) << stats.err;
  const auto json = nlohmann::json::parse(stats.out);
  EXPECT_THAT(json["notes"][0].get<std::string>(), HasSubstr("qwen2"));
  for (const auto& tensor : json["tensors"]) {
    if (tensor["name"] != "blk.0.ffn_gate_exps.weight") continue;
    EXPECT_EQ(tensor["stats"]["max"], 11);
    EXPECT_EQ(tensor["stats"]["zeros"], 1);
  }
}

TEST_F(ForeignGguf, IsVerifiedAsFarAsThatGoes) {
  const ToolResult sound = run_tool({"verify", path_});
  EXPECT_EQ(sound.exit_code, 0) << sound.err;
  EXPECT_THAT(sound.out,
              AllOf(HasSubstr("note: `convert` and `quantize` do not take"),
                    HasSubstr("note: checked are the header, the extents"),
                    HasSubstr("sound: 13 tensors")));
  file_.set_f32_tensor("token_embd.weight",
                       {1, 2},
                       {1, std::numeric_limits<float>::quiet_NaN()});
  write();
  EXPECT_EQ(run_tool({"verify", path_}).exit_code, 5);
  file_.offset_error = 32;
  write();
  const ToolResult broken = run_tool({"verify", path_});
  EXPECT_EQ(broken.exit_code, 4);
  EXPECT_THAT(broken.err, HasSubstr("offset: expected"));
}

TEST_F(ForeignGguf, IsNotConverted) {
  for (const std::vector<std::string>& command :
       {std::vector<std::string>{"convert", path_, "-o", path_ + ".out"},
        {"plan", path_, "-c", "int8_weight_only"},
        {"quantize", path_, "-c", "int8_weight_only", "-o", path_ + ".out"}}) {
    const ToolResult result = run_tool(command);
    EXPECT_EQ(result.exit_code, 2) << command[0];
    EXPECT_THAT(result.err,
                HasSubstr("converts: llama (dense or with experts), qwen3moe"));
  }
}

}  // namespace
}  // namespace mantissa
