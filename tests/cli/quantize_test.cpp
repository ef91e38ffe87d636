#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <sstream>

#include <nlohmann/json.hpp>

#include <mantissa/core/tensor_view.h>
#include <mantissa/primitives/float_casts.h>

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

class QuantizeTest : public ::testing::Test {
 protected:
  void SetUp() override { support::write_small_model(model()); }

  fs::path model() const { return directory_.path() / "model"; }
  fs::path out(const std::string& name = "out") const {
    return directory_.path() / name;
  }

  ToolResult quantize(std::vector<std::string> words,
                      const std::string& name = "out") {
    std::vector<std::string> all = {
        "quantize", model().string(), "-o", out(name).string()};
    all.insert(all.end(), words.begin(), words.end());
    return run_tool(all);
  }

  support::TempDir directory_;
};

TEST_F(QuantizeTest, WritesADirectoryThatVerifies) {
  const ToolResult result = quantize({"-c", "int8_weight_only"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out,
              HasSubstr("6 tensors quantized, 5 kept, 0 skipped, 1 tied"));
  EXPECT_EQ(result.err, "");
  const auto files = directory_contents(out());
  EXPECT_EQ(files.count("model.safetensors"), 1u);
  EXPECT_EQ(files.count("tokenizer.json"), 1u);
  EXPECT_EQ(files.count("mantissa_manifest.json"), 1u);
  EXPECT_EQ(files.size(), 4u) << "nothing but weights, config and companions";
  EXPECT_FALSE(fs::exists(out().string() + ".partial"));
}

// A group as long as a row is another strategy than the same group elsewhere.
TEST_F(QuantizeTest, GroupsOfARowAndShorterOnesConvertTogether) {
  // The first tensor, down_proj, gets rows of one group, q_proj rows of two.
  auto tensors = support::load_tensors(model() / "model.safetensors");
  for (int i = 0; i < 3; ++i) {
    const std::string layer = "model.layers." + std::to_string(i);
    std::swap(tensors.at(layer + ".mlp.down_proj.weight"),
              tensors.at(layer + ".self_attn.q_proj.weight"));
  }
  support::save_tensors(model() / "model.safetensors", tensors);
  for (const char* config :
       {"intx_weight_only:weight_dtype=int4,granularity=per_group(64)",
        "intx_weight_only:weight_dtype=int8,granularity=per_group(64),"
        "mapping_type=ASYMMETRIC"}) {
    SCOPED_TRACE(config);
    ASSERT_EQ(quantize({"-c", config, "--force"}).exit_code, 0);
    std::string from = "out";
    for (const char* format : {"compressed-tensors", "torchao"}) {
      const ToolResult result = run_tool({"convert",
                                          out(from).string(),
                                          "--format",
                                          format,
                                          "--force",
                                          "-o",
                                          out(format).string()});
      ASSERT_EQ(result.exit_code, 0) << result.err;
      const ToolResult diff = run_tool(
          {"diff", out().string(), out(format).string(), "--json"});
      const auto compared = nlohmann::json::parse(diff.out);
      EXPECT_EQ(compared["equal"], compared["compared"]) << diff.out;
      EXPECT_EQ(run_tool({"verify", out(format).string()}).exit_code, 0);
      from = format;
    }
  }
}

TEST_F(QuantizeTest, BytesDoNotDependOnWorkersOrInstructionSet) {
  for (const char* config : {"int8_weight_only",
                             "int8_weight_only:granularity=per_tensor()",
                             "intx_weight_only:weight_dtype=int4,"
                             "granularity=per_group(32)",
                             "int4_weight_only:group_size=32",
                             "int4_weight_only:group_size=32,"
                             "int4_packing_format=tile_packed_to_4d,"
                             "int4_choose_qparams_algorithm=hqq",
                             "float8_weight_only",
                             "float8_weight_only:granularity=per_tensor()",
                             "intx_weight_only:weight_dtype=int3,"
                             "mapping_type=ASYMMETRIC"}) {
    SCOPED_TRACE(config);
    ASSERT_EQ(quantize({"-c", config, "-j", "1"}, "one").exit_code, 0);
    for (const char* workers : {"2", "8"}) {
      ASSERT_EQ(quantize({"-c", config, "-j", workers}, "many").exit_code, 0);
      EXPECT_EQ(directory_contents(out("one")),
                directory_contents(out("many")));
      fs::remove_all(out("many"));
    }
    ::setenv("MANTISSA_CPU", "scalar", 1);
    ASSERT_EQ(quantize({"-c", config}, "many").exit_code, 0);
    ::unsetenv("MANTISSA_CPU");
    EXPECT_EQ(directory_contents(out("one")), directory_contents(out("many")));
    fs::remove_all(out("one"));
    fs::remove_all(out("many"));
  }
}

TEST_F(QuantizeTest, PlanExitsAsQuantizeWould) {
  const std::vector<std::string> words = {"-c", "int4_weight_only"};
  const ToolResult quantized = quantize(words);
  const ToolResult planned =
      run_tool({"plan", model().string(), "-c", "int4_weight_only"});
  EXPECT_EQ(quantized.exit_code, 6);
  EXPECT_EQ(planned.exit_code, 6);
  EXPECT_EQ(planned.err, quantized.err);
  EXPECT_THAT(planned.err, HasSubstr("--group-size"));
  EXPECT_THAT(planned.err, HasSubstr("--allow-skipped"));
  EXPECT_FALSE(fs::exists(out()));
  EXPECT_FALSE(fs::exists(out().string() + ".partial"));
}

TEST_F(QuantizeTest, SkippedTensorsAreRecordedAsNull) {
  const ToolResult result =
      quantize({"-c", "int4_weight_only", "--allow-skipped"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("3 tensors quantized"));
  EXPECT_THAT(result.out, HasSubstr("3 skipped"));
  const auto config =
      nlohmann::json::parse(std::ifstream(out() / "config.json"));
  const auto& rules = config["quantization_config"]["quant_type"]["default"]
                            ["_data"]["fqn_to_config"];
  EXPECT_TRUE(rules["model.layers.2.self_attn.q_proj"].is_null());
  EXPECT_EQ(rules["_default"]["_type"], "Int4WeightOnlyConfig");
}

TEST_F(QuantizeTest, JsonHasASchemaVersion) {
  const ToolResult result =
      run_tool({"plan", model().string(), "-c", "int8_weight_only", "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const auto plan = nlohmann::json::parse(result.out);
  EXPECT_EQ(plan["schema_version"], 1);
  EXPECT_EQ(plan["tensors"].size(), 12u);
  EXPECT_EQ(plan["counts"]["quantize"], 6);
}

TEST_F(QuantizeTest, RefusesToOverwrite) {
  ASSERT_EQ(quantize({"-c", "int8_weight_only"}).exit_code, 0);
  const auto before = directory_contents(out());
  ToolResult result = quantize({"-c", "intx_weight_only"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("--force"));
  EXPECT_EQ(directory_contents(out()), before);
  result = quantize({"-c", "intx_weight_only", "--force"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(directory_contents(out()), before);
  EXPECT_FALSE(fs::exists(out().string() + ".partial"));
}

TEST_F(QuantizeTest, WhereNothingCanBeMadeIsATarget) {
  const std::map<std::string, std::string> places = {
      {"/proc/x", "/proc/x: cannot create: No such file"},
      {out(std::string(250, 'x')).string(), "File name too long"}};
  for (const auto& [out, says] : places) {
    for (const char* command : {"plan", "quantize"}) {
      const auto result = run_tool(
          {command, model().string(), "-c", "int8_weight_only", "-o", out});
      EXPECT_EQ(result.exit_code, 3) << command << ": " << result.err;
      EXPECT_THAT(result.err, HasSubstr(says));
    }
  }
  EXPECT_EQ(std::distance(fs::directory_iterator(directory_.path()), {}), 1);
}

TEST_F(QuantizeTest, APartialOutputNeedsRestart) {
  const fs::path partial = out().string() + ".partial";
  fs::create_directory(partial);
  std::ofstream(partial / "rest") << "old";
  ToolResult result = quantize({"-c", "int8_weight_only"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("--restart"));
  result = quantize({"-c", "int8_weight_only", "--restart"});
  EXPECT_EQ(result.exit_code, 2) << "deleted what the tool had not made";
  EXPECT_TRUE(fs::exists(partial / "rest"));
  std::ofstream(partial / ".lock") << "1";
  result = quantize({"-c", "int8_weight_only", "--restart"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_FALSE(fs::exists(out() / "rest"));
}

TEST_F(QuantizeTest, ForceAndRestartTouchNothingForeign) {
  fs::create_directory(out());
  std::ofstream(out() / "thesis.txt") << "mine";
  ToolResult result = quantize({"-c", "int8_weight_only", "--force"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("holds no checkpoint"));
  EXPECT_TRUE(fs::exists(out() / "thesis.txt"));
  fs::create_directory(out("else"));
  std::ofstream(out("else") / ".lock") << "";
  std::ofstream(out("else") / "precious") << "mine";
  fs::create_directory_symlink(out("else"), out("new.partial"));
  result = quantize({"-c", "int8_weight_only", "--restart"}, "new");
  EXPECT_EQ(result.exit_code, 2) << "followed a symlink";
  EXPECT_TRUE(fs::exists(out("else") / "precious"));
}

TEST_F(QuantizeTest, RefusesPlacesAroundTheInput) {
  const ToolResult inside = run_tool({"quantize",
                                      model().string(),
                                      "-c",
                                      "int8_weight_only",
                                      "-o",
                                      (model() / "q").string()});
  EXPECT_EQ(inside.exit_code, 2);
  EXPECT_THAT(inside.err, HasSubstr("inside"));
  const ToolResult same = run_tool({"quantize",
                                    model().string(),
                                    "-c",
                                    "int8_weight_only",
                                    "--force",
                                    "-o",
                                    (model() / "..//model").string()});
  EXPECT_EQ(same.exit_code, 2);
  const ToolResult around = run_tool({"quantize",
                                      model().string(),
                                      "-c",
                                      "int8_weight_only",
                                      "--force",
                                      "-o",
                                      directory_.path().string()});
  EXPECT_EQ(around.exit_code, 2);
  EXPECT_TRUE(fs::exists(model() / "model.safetensors"));
  const ToolResult nowhere = run_tool({"quantize",
                                       model().string(),
                                       "-c",
                                       "int8_weight_only",
                                       "-o",
                                       out("no/such").string()});
  EXPECT_EQ(nowhere.exit_code, 3);
}

TEST_F(QuantizeTest, NonFiniteWeightsAreNamedOrKept) {
  auto tensors = support::load_tensors(model() / "model.safetensors");
  HostTensor bad = tensors.at("model.layers.1.self_attn.q_proj.weight");
  bad.as<std::uint16_t>()[130] = 0x7fc0;
  tensors["model.layers.1.self_attn.q_proj.weight"] = bad;
  support::save_tensors(model() / "model.safetensors", tensors);
  ToolResult result = quantize({"-c", "int8_weight_only"});
  EXPECT_EQ(result.exit_code, 4);
  EXPECT_THAT(result.err, HasSubstr("model.layers.1.self_attn.q_proj.weight"));
  EXPECT_THAT(result.err, HasSubstr("130"));
  EXPECT_FALSE(fs::exists(out()));
  result =
      quantize({"-c", "int8_weight_only", "--allow-nonfinite", "--restart"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const auto config =
      nlohmann::json::parse(std::ifstream(out() / "config.json"));
  EXPECT_TRUE(config["quantization_config"]["quant_type"]["default"]["_data"]
                    ["fqn_to_config"]["model.layers.1.self_attn.q_proj"]
                        .is_null());
}

TEST_F(QuantizeTest, RulesInTheirOrder) {
  const ToolResult result =
      quantize({"-c",
                "int8_weight_only",
                "--ignore",
                "glob:model.layers.0.*",
                "--tensor-type",
                "down_proj=int4_weight_only:group_size=32",
                "--tensor-type",
                "layers.2=none"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("3 tensors quantized"));
  const auto tensors = support::load_tensors(out() / "model.safetensors");
  EXPECT_EQ(tensors.count("model.layers.0.mlp.down_proj.weight"), 1u);
  EXPECT_EQ(tensors.at("model.layers.1.mlp.down_proj._weight_qdata").shape(),
            (Shape{64, 64}));
}

// Tiles of 8 rows and 1024 columns hold mostly padding here.
TEST_F(QuantizeTest, WarnsOfAResultThatIsLargerThanItsSource) {
  const std::string tiles =
      "int4_weight_only:group_size=32,int4_packing_format=tile_packed_to_4d";
  const ToolResult larger = quantize({"-c", tiles, "--dry-run"});
  EXPECT_EQ(larger.exit_code, 0) << larger.err;
  EXPECT_THAT(larger.out, HasSubstr("too small for their format"));
  const ToolResult smaller =
      quantize({"-c", "int4_weight_only:group_size=32", "--dry-run"});
  EXPECT_THAT(smaller.out, Not(HasSubstr("too small for their format")));
}

TEST_F(QuantizeTest, PlacesThatCannotBeOutAreNotBlamedOnTheReport) {
  for (const char* place : {".", "/"}) {
    for (const char* command : {"plan", "quantize"}) {
      const ToolResult result = run_tool({command,
                                          model().string(),
                                          "-c",
                                          "int8_weight_only",
                                          "-o",
                                          place});
      EXPECT_EQ(result.exit_code, 2) << result.err;
      EXPECT_THAT(result.err, Not(HasSubstr("report")));
    }
  }
}

TEST_F(QuantizeTest, SizesTakeEitherKilobyte) {
  for (const char* size : {"20KB", "20kB", "20000"}) {
    fs::remove_all(out());
    ASSERT_EQ(
        quantize({"-c", "int8_weight_only", "--shard-size", size}).exit_code,
        0);
    EXPECT_TRUE(fs::exists(out() / "model.safetensors.index.json")) << size;
  }
}

TEST_F(QuantizeTest, MessagesOfBadWords) {
  const struct {
    std::vector<std::string> words;
    const char* message;
  } cases[] = {
      {{}, "-c is missing"},
      {{"-c", "int8_weight_onyl"}, "int8_weight_only"},
      {{"-c", "int8_weight_only", "--group-size", "x"}, "--group-size"},
      {{"-c", "int8_weight_only", "--tensor-type", "abc"}, "REGEX=CONFIG"},
      {{"-c", "int8_weight_only", "--ignore", "re:("}, "re:("},
      {{"-c", "int8_weight_only", "--ignore", "nothing"}, "matches no"},
      {{"-c", "int8_weight_only", "--shard-size", "5XB"}, "--shard-size"},
      {{"-c", "int8_weight_only", "--dtype", "int8"}, "--dtype"},
      {{"-c", "int8_weight_only", "-j", "-1"}, "--threads"},
      {{"-c", "int8_weight_only", "--recipe", "x"},
       "not available in this version"},
      {{"-c", "int8_static_activation_int8_weight"},
       "not available in this version"},
      {{"-c", "no_such_file.json"}, "no_such_file.json"},
      {{"--scheme", "FP8"}, "use FP8_DYNAMIC"},
      {{"--scheme", "W4A17"}, "known are W1A16"},
      {{"--scheme", "w4a61"}, "'w4a61' is unknown; did you mean W4A16? known"},
      {{"--scheme", "FP8_DYNAMC:x"}, "did you mean FP8_DYNAMIC?"},
      {{"-c", "intx_weight_only:mapping_type=ASYMETRIC"},
       "got \"ASYMETRIC\"; did you mean ASYMMETRIC?"},
      {{"--scheme", "W8A8", "-c", "int8_weight_only"}, "give one of them"},
      {{"--scheme", "W8A8", "--format", "torchao"},
       "--format compressed-tensors writes it"},
      {{"--scheme", "W8A8", "--format", "gguf"}, "expected one of torchao"},
      {{"-c",
        "int4_weight_only:group_size=32",
        "--format",
        "compressed-tensors",
        "--allow-skipped",
        "--tensor-type",
        "q_proj=int4_weight_only:group_size=32"},
       "float zero point"},
      {{"--scheme",
        "W4A16:group_size=32",
        "--tensor-type",
        "q_proj=W4A16_ASYM:group_size=32"},
       "--allow-unloadable"},
  };
  for (const auto& test : cases) {
    const ToolResult result = quantize(test.words);
    EXPECT_EQ(result.exit_code, 2) << test.message << "\n" << result.err;
    EXPECT_THAT(result.err, HasSubstr(test.message));
    EXPECT_FALSE(fs::exists(out())) << test.message;
  }
}

TEST_F(QuantizeTest, CastsWithDtype) {
  ASSERT_EQ(run_tool({"convert",
                      model().string(),
                      "--dtype",
                      "float32",
                      "-o",
                      out().string()})
                .exit_code,
            0);
  const auto before = support::load_tensors(model() / "model.safetensors");
  for (const auto& [name, tensor] :
       support::load_tensors(out() / "model.safetensors")) {
    ASSERT_EQ(tensor.dtype(), DType::Float32);
    EXPECT_EQ(tensor.as<float>()[5],
              bfloat16_to_float(before.at(name).as<std::uint16_t>()[5]));
  }
  const auto config =
      nlohmann::json::parse(std::ifstream(out() / "config.json"));
  EXPECT_EQ(config["dtype"], "float32");
}

TEST_F(QuantizeTest, SaysHowGoodItIsAndWhereTheReportStands) {
  const ToolResult result = quantize({"-c", "int8_weight_only"});
  EXPECT_THAT(result.out, HasSubstr(" dB over what is quantized; worst "));
  EXPECT_THAT(result.out,
              HasSubstr("report: " + out().string() + ".report/report.html\n"));
  const ToolResult none =
      quantize({"-c", "int8_weight_only", "--no-report", "--force"});
  EXPECT_THAT(none.out, Not(HasSubstr("report:")));
}

TEST_F(QuantizeTest, MoreMemoryThanAllowedIsRefusedByThePlan) {
  const ToolResult plan = run_tool({"plan",
                                    model().string(),
                                    "-c",
                                    "int8_weight_only",
                                    "-j",
                                    "2",
                                    "--max-memory",
                                    "64MiB"});
  EXPECT_EQ(plan.exit_code, 7);
  EXPECT_THAT(plan.out, HasSubstr("memory: at most 100."));
  EXPECT_THAT(plan.err, HasSubstr("--max-memory 67.1 MB: the run may take"));
  const ToolResult run =
      quantize({"-c", "int8_weight_only", "-j", "2", "--max-memory", "64MiB"});
  EXPECT_EQ(run.exit_code, 7);
  EXPECT_FALSE(fs::exists(out()));
  EXPECT_EQ(
      quantize({"-c", "int8_weight_only", "--max-memory", "1GB"}).exit_code, 0);
  EXPECT_EQ(
      quantize({"-c", "int8_weight_only", "--max-memory", "much"}).exit_code,
      2);
}

}  // namespace
}  // namespace mantissa
