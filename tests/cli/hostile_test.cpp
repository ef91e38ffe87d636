// What a stranger did to the tool: names, paths, files and values that nobody
// means well with.

#include <sys/resource.h>
#include <sys/wait.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "support/cpu_clock.h"
#include "support/exchange.h"
#include "support/raw_safetensors.h"
#include "support/run_tool.h"
#include "support/temp_dir.h"
#include "support/yardstick.h"

namespace mantissa {
namespace {

namespace fs = std::filesystem;
using support::child_seconds;
using support::run_tool;
using support::run_tool_to;
using support::TempDir;
using support::ToolResult;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr const char* kConfig = R"({"architectures": ["LlamaForCausalLM"],
  "num_hidden_layers": 1, "tie_word_embeddings": false})";
constexpr const char* kUp = "model.layers.0.mlp.up_proj.weight";

// A model directory with the given extra tensors.
fs::path model(const TempDir& dir,
               const std::string& folder,
               std::map<std::string, HostTensor> tensors = {}) {
  tensors[kUp] = HostTensor(DType::BFloat16, {32, 32});
  tensors["model.norm.weight"] = HostTensor(DType::BFloat16, {32});
  dir.write(folder + "/config.json", kConfig);
  support::save_tensors(dir.path() / folder / "model.safetensors", tensors);
  return dir.path() / folder;
}

ToolResult plan(const std::string& path, std::vector<std::string> more = {}) {
  more.insert(more.begin(), {"plan", path});
  return run_tool(more);
}

ToolResult plan_int8(const std::string& path,
                     std::vector<std::string> more = {}) {
  more.insert(more.begin(), {"-c", "int8_weight_only"});
  return plan(path, more);
}

TEST(HostileNames, ArePrintedEscaped) {
  const TempDir dir;
  const std::string nul("model.a\0b.weight", 16);
  const fs::path path = model(dir,
                              "m",
                              {{nul, HostTensor(DType::BFloat16, {32, 32})},
                               {"model.\x1b[31m\n\xc2\x9b\xe2\x80\xae.weight",
                                HostTensor(DType::BFloat16, {32, 32})}});
  const auto safe = AllOf(HasSubstr("a\\x00b"),
                          HasSubstr("\\x1b[31m\\x0a\\u{9b}\\u{202e}.weight"),
                          Not(HasSubstr("\x1b")),
                          Not(HasSubstr(std::string(1, '\0'))));
  const ToolResult shown = run_tool({"inspect", path.string(), "--all"});
  EXPECT_EQ(shown.exit_code, 0) << shown.err;
  EXPECT_THAT(shown.out, AllOf(safe, HasSubstr("model.norm.weight")));
  const ToolResult planned = plan_int8(path.string());
  EXPECT_EQ(planned.exit_code, 6);
  EXPECT_THAT(planned.out, AllOf(safe, HasSubstr("4 tensors:")));
  EXPECT_THAT(planned.err, AllOf(safe, HasSubstr("Remedy: ")));
}

TEST(HostileNames, ConfigAndArgumentsAreEscapedToo) {
  const TempDir dir;
  const fs::path path = model(dir, "m");
  dir.write("m/config.json", "{\"architectures\": [\"\\u001b[31mX\"]}");
  EXPECT_THAT(plan_int8(path.string()).err,
              AllOf(HasSubstr("\\x1b[31mX"), Not(HasSubstr("\x1b"))));
  EXPECT_THAT(run_tool({"inspect", path.string()}).out,
              AllOf(HasSubstr("\\x1b[31mX"), Not(HasSubstr("\x1b"))));
  EXPECT_THAT(plan(path.string(), {"-c", "\x1b[31m"}).err,
              AllOf(HasSubstr("\\x1b[31m"), Not(HasSubstr("\x1b"))));
  EXPECT_THAT(run_tool({"\x1b[31m"}).err, Not(HasSubstr("\x1b")));
}

// A name that wants to be a line of the tool's own, in bytes and in JSON.
constexpr const char* kBad = "X\nmantissa: all is well\n\x1b[2J";
constexpr const char* kBadJson = R"(X\nmantissa: all is well\n\u001b[2J)";

// A torchao file of which one tensor has that type.
std::string torchao_file(const TempDir& dir) {
  const std::string header =
      std::string(R"({"__metadata__": {"tensor_names": "[\"a.w\", \"a.b\"]",
          "a.w": "{\"_type\": \"Tensor\"}",
          "a.b": "{\"_type\": \")") +
      R"(X\\nmantissa: all is well\\n\\u001b[2J)" +
      R"(\", \"_data\": {}, \"_tensor_data_names\": [\"q\"]}"},
          "a.w": {"dtype": "BF16", "shape": [4], "data_offsets": [0, 8]},
          "a._b_q": {"dtype": "BF16", "shape": [4], "data_offsets": [8, 16]}})";
  return dir.write("torchao.safetensors", support::raw_safetensors(header, 16))
      .string();
}

void expect_no_line_of_its_own(const std::vector<std::string>& words) {
  const ToolResult result = run_tool(words);
  for (const std::string& text : {result.out, result.err}) {
    EXPECT_THAT(text,
                AllOf(Not(HasSubstr("\x1b")),
                      Not(HasSubstr("\nmantissa: all is well"))))
        << words[0];
  }
  EXPECT_THAT(result.out + result.err, HasSubstr("all is well")) << words[0];
}

TEST(HostileNames, OfConfigJsonBeginNoLine) {
  const TempDir dir;
  const std::string path =
      model(dir, "m", {{kBad, HostTensor(DType::BFloat16, {32, 32})}}).string();
  for (const char* config :
       {R"({"architectures": ["$"]})",
        R"({"architectures": ["Y"], "model_type": "$"})",
        R"({"architectures": ["LlamaForCausalLM"], "torch_dtype": "$"})",
        R"({"quantization_config": {"quant_method": "$"}})"}) {
    std::string text = config;
    dir.write("m/config.json", text.replace(text.find('$'), 1, kBadJson));
    for (const std::vector<std::string>& words :
         {std::vector<std::string>{"inspect", path},
          {"inspect", path, "--all"},
          {"inspect", path, "--tree"},
          {"plan", path, "-c", "int8_weight_only"}}) {
      expect_no_line_of_its_own(words);
    }
  }
  expect_no_line_of_its_own({"verify", path});
}

TEST(HostileNames, OfTensorsAndTypesBeginNoLine) {
  const TempDir dir;
  const std::string path = model(dir,
                                 "m",
                                 {{std::string(kBad) + ".weight",
                                   HostTensor(DType::BFloat16, {32, 32})}})
                               .string();
  const std::string out = (dir.path() / "out").string();
  const std::string torchao = torchao_file(dir);
  for (const char* command : {"inspect", "verify"}) {
    expect_no_line_of_its_own({command, torchao});
  }
  expect_no_line_of_its_own({"convert", torchao, "-o", out + "2"});
  expect_no_line_of_its_own({"diff", path, torchao, "--all"});
  std::vector<std::string> words = {"quantize", path, "-o", out, "-v"};
  words.insert(words.end(),
               {"-c", "int8_weight_only", "--allow-unknown-names"});
  expect_no_line_of_its_own(words);
  std::ifstream card(out + ".report/report.md");
  const std::string markdown{std::istreambuf_iterator<char>(card), {}};
  EXPECT_THAT(markdown, Not(HasSubstr("\nmantissa: all is well")));
  EXPECT_THAT(markdown, HasSubstr("## Quantization"));
}

TEST(HostilePaths, JsonSurvivesBytesThatAreNoUtf8) {
  const TempDir dir;
  const std::string path = model(dir, "u\xff").string();
  const std::string out = (dir.path() / "out\xfe").string();
  for (const std::vector<std::string>& command :
       {std::vector<std::string>{"plan", path, "-c", "int8_weight_only"},
        {"inspect", path},
        {"verify", path},
        {"diff", path, path},
        {"quantize", path, "-c", "int8_weight_only", "-o", out},
        {"convert", path, "-o", out + "2"}}) {
    std::vector<std::string> words = command;
    words.push_back("--json");
    const ToolResult result = run_tool(words);
    EXPECT_EQ(result.exit_code, 0) << command[0] << ": " << result.err;
    EXPECT_TRUE(nlohmann::json::accept(result.out)) << command[0];
  }
}

TEST(HostileConfig, OfAnotherMethodIsNotDecoded) {
  const TempDir dir;
  const std::string plain = model(dir, "m").string();
  const std::string quantized = (dir.path() / "int8").string();
  ASSERT_EQ(
      run_tool({"quantize", plain, "-c", "int8_weight_only", "-o", quantized})
          .exit_code,
      0);
  auto config =
      nlohmann::json::parse(std::ifstream(quantized + "/config.json"));
  config["quantization_config"]["quant_method"] = "gptq";
  dir.write("int8/config.json", config.dump());
  const std::string out = (dir.path() / "out").string();
  for (const std::vector<std::string>& command :
       {std::vector<std::string>{"convert", quantized, "-o", out},
        {"plan", quantized, "-c", "int8_weight_only"},
        {"quantize", quantized, "-c", "int8_weight_only", "-o", out}}) {
    const ToolResult result = run_tool(command);
    EXPECT_EQ(result.exit_code, 4) << command[0];
    EXPECT_THAT(result.err,
                AllOf(HasSubstr("quant_method \"gptq\""),
                      HasSubstr("is stored as \"Int8Tensor\"")))
        << command[0];
  }
  EXPECT_EQ(run_tool({"verify", quantized}).exit_code, 5);
  EXPECT_FALSE(fs::exists(out));
}

TEST(HostileStdout, ThatIsFullIsAnError) {
  const TempDir dir;
  const std::string path = model(dir, "m").string();
  for (const std::vector<std::string>& command :
       {std::vector<std::string>{"plan", path, "-c", "int8_weight_only"},
        {"inspect", path, "--json"},
        {"configs"},
        {"--help"}}) {
    const ToolResult result = run_tool_to("/dev/full", command);
    EXPECT_EQ(result.exit_code, 3) << command[0];
    EXPECT_THAT(result.err, HasSubstr("stdout cannot be written"));
  }
}

TEST(HostilePaths, LoopsAndLongNamesAreNamed) {
  const TempDir dir;
  const fs::path path = model(dir, "m");
  fs::remove(path / "model.safetensors");
  fs::create_symlink("a.safetensors", path / "a.safetensors");
  dir.write("m/model.safetensors.index.json",
            R"({"weight_map": {"w": "a.safetensors"}})");
  const ToolResult loop = plan_int8(path.string());
  EXPECT_EQ(loop.exit_code, 4);
  EXPECT_THAT(loop.err,
              AllOf(HasSubstr("a.safetensors"),
                    HasSubstr("Too many levels"),
                    Not(HasSubstr("filesystem error"))));
  const ToolResult longer = plan(
      path.string(), {"-c", "int8_weight_only" + std::string(50'000, 'x')});
  EXPECT_EQ(longer.exit_code, 2);
  EXPECT_THAT(longer.err, HasSubstr("is not known"));
  EXPECT_LT(longer.err.size(), 300U);
}

TEST(HostileOptions, AreRefusedWithWords) {
  const TempDir dir;
  const std::string path = model(dir, "m").string();
  const std::string bom = dir.write("bom.json", "\xef\xbb\xbf{}").string();
  const std::string empty = dir.write("empty.json", "").string();
  const std::string twice =
      dir.write("twice.json",
                R"({"_type":"Int8WeightOnlyConfig","_type":"X","_data":{}})")
          .string();
  const std::string lines =
      dir.write("lines.txt", "up=int8_weight_only\nup=none\n").string();
  const std::map<std::string, std::vector<std::string>> cases = {
      {"--group-size", {"-c", "int4_weight_only", "--group-size", "0"}},
      {"--threads", {"-c", "int8_weight_only", "-j", "0"}},
      {"a directory; expected a file", {"-c", dir.path().string() + "/"}},
      {"cannot be opened: No such file", {"-c", "./nofile"}},
      {"begins with a byte order mark", {"-c", bom}},
      {"empty.json: is empty", {"-c", empty}},
      {"repeated key \"_type\"", {"-c", twice}},
      {"twice.json: ", {"-c", twice}},
      {"m: a directory; expected a file", {"-c", path}},
      {"--group-size: expected",
       {"-c", "int8_weight_only:x=1", "--group-size", "0"}},
      {"expected a regular file", {"--tensor-type-file", "/dev/zero"}},
      {"stands in line 1 already", {"--tensor-type-file", lines}},
  };
  for (const auto& [says, words] : cases) {
    const ToolResult result = plan(path, words);
    EXPECT_EQ(result.exit_code, 2) << says;
    EXPECT_THAT(result.err, HasSubstr(says));
  }
}

TEST(HostileNumbers, SizesEndWhereBytesDo) {
  const TempDir dir;
  const std::string path = model(dir, "m").string();
  for (const char* value :
       {"99999999999GB", "9223373TB", "99999999999999999999"}) {
    const ToolResult result = plan_int8(path, {"--shard-size", value});
    EXPECT_EQ(result.exit_code, 2) << value;
    EXPECT_THAT(result.err,
                HasSubstr("--shard-size: more bytes than any file or memory "
                          "has, got '" +
                          std::string(value) + "'"));
  }
  // Decimals make no size larger.
  for (const char* value :
       {"9223372TB", "8388607TiB", "10.123456789GB", "1.1234567TiB"}) {
    EXPECT_EQ(plan_int8(path, {"--shard-size", value}).exit_code, 0) << value;
  }
}

TEST(HostileNumbers, AreRefusedWithWhatIsExpected) {
  const TempDir dir;
  const std::string path = model(dir, "m").string();
  const std::string out = (dir.path() / "out").string();
  const auto check = [](const std::vector<std::string>& words,
                        const std::string& says) {
    const ToolResult result = run_tool(words);
    EXPECT_EQ(result.exit_code, 2) << words.back();
    EXPECT_THAT(result.err,
                AllOf(HasSubstr(says), HasSubstr("got '" + words.back() + "'")))
        << words.back();
  };
  for (const char* value :
       {"nan", "inf", "-inf", "-1", "1e999", "", " 3", "3 ", "30dB", "0x10"}) {
    const std::string says = "--min-sqnr: expected a number of dB from 0 up";
    check({"diff", path, path, "--min-sqnr", value}, says);
    check({"quantize",
           path,
           "-c",
           "int8_weight_only",
           "-o",
           out,
           "--min-sqnr",
           value},
          says);
  }
  for (const char* value :
       {"0", "-1", "99999999999", "99999999999999999999", "", "1.5", "x"}) {
    const std::string says =
        "--threads: expected a whole number from 1 to 1024";
    for (const char* command : {"inspect", "verify", "plan"}) {
      check({command, path, "-j", value}, says);
    }
    check({"diff", path, path, "-j", value}, says);
  }
  for (const char* value : {"0", "-3", "1e3", "99999999999999999999", ""}) {
    check({"plan", path, "-c", "int4_weight_only", "--group-size", value},
          "--group-size: expected a whole number from 1 to ");
  }
  for (const char* value :
       {"0", "-1", "5XB", "", ".", "1.5.0GB", "1.0123456789GB", "0.5B"}) {
    check({"plan", path, "-c", "int8_weight_only", "--shard-size", value},
          "--shard-size: expected a size such as 5GB");
  }
  EXPECT_FALSE(fs::exists(out));
  EXPECT_EQ(plan_int8(path, {"-j", "010"}).exit_code, 0);
}

TEST(HostileEnvironment, IsRefusedBeforeWorkBegins) {
  const std::map<std::string, std::string> cases = {
      {"MANTISSA_CPU=foo",
       "expected scalar, avx2, avx512, avx512vnni or amx, got 'foo'"},
      {"MANTISSA_KERNEL=foo", "expected OP=NAME[,OP=NAME...], got 'foo'"},
      {"MANTISSA_KERNEL=foo=bar", "there is no operator 'foo'; there are: abs"},
      {"MANTISSA_KERNEL=convert=bar", "convert has no kernel 'bar'"},
  };
  for (const auto& [variable, says] : cases) {
    for (const std::vector<std::string>& command :
         {std::vector<std::string>{"configs"}, {"inspect", "/nowhere"}}) {
      const ToolResult result =
          support::ToolProcess(command, {variable}).finish();
      EXPECT_EQ(result.exit_code, 2) << variable;
      EXPECT_EQ(result.out, "");
      EXPECT_THAT(result.err, HasSubstr(says));
    }
  }
  const ToolResult fine =
      support::ToolProcess({"configs"}, {"MANTISSA_CPU=", "MANTISSA_KERNEL="})
          .finish();
  EXPECT_EQ(fine.exit_code, 0) << fine.err;
}

TEST(HostileRules, AHundredThousandNamesTakeTwoSeconds) {
  const TempDir dir;
  const std::string path = model(dir, "m").string();
  std::string rules =
      R"({"_type":"FqnToConfig","_version":1,"_data":{"fqn_to_config":{)";
  for (int i = 0; i < 100'000; ++i) rules += fmt::format("\"x{}\":null,", i);
  rules += R"("_default":null}}})";
  const std::string file = dir.write("rules.json", rules).string();
  const double before = child_seconds();
  const ToolResult result = plan(path, {"-c", file});
  const double seconds = child_seconds() - before;
  EXPECT_TRUE(seconds < 2 || seconds < 2 * support::slowness()) << seconds;
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("99980 more rules match no tensor"));
}

// A file of 5 MB never takes more than 5 s and 256 MiB.
TEST(HostileRules, FiveMegabytesOfPatternsAreBounded) {
  const TempDir dir;
  const std::string path = model(dir, "m").string();
  const auto check = [&](const std::string& option,
                         const std::string& text,
                         const std::string& says) {
    const std::string file = dir.write("rules.json", text).string();
    const double before = child_seconds();
    rusage usage{};
    ::getrusage(RUSAGE_CHILDREN, &usage);
    std::vector<std::string> words = {option, file};
    if (option != "-c") words.insert(words.end(), {"-c", "int8_weight_only"});
    const ToolResult result = plan(path, words);
    EXPECT_LT(child_seconds() - before, 5) << says;
    ::getrusage(RUSAGE_CHILDREN, &usage);
    EXPECT_LT(usage.ru_maxrss, 256 << 10) << says;
    EXPECT_EQ(result.exit_code, 2) << says;
    EXPECT_THAT(result.err, HasSubstr(says));
    EXPECT_LT(result.err.size(), 30'000U);
  };
  const auto fill = [](const auto& line) {
    std::string text;
    for (int i = 0; text.size() < 5'000'000; ++i) text += line(i);
    return text;
  };
  check("--tensor-type-file",
        fill([](int i) { return fmt::format("a.*b{}=none\n", i); }),
        "rules.json:2049 a.*b2048=none': more than 2048 patterns");
  check("--tensor-type-file",
        fill([](int i) { return fmt::format(".{{1000}}b{}=none\n", i); }),
        "more than 2048 patterns");
  std::string few;
  for (int i = 0; i < 2000; ++i) few += fmt::format(".{{1000}}b{}=none\n", i);
  check("--tensor-type-file", few, "too large together with those before it");
  check("--tensor-type-file",
        fill([](int) { return "a*b|"; }) + "c=none\n",
        "...': expected a pattern of at most 65536 bytes, got 5000");
  std::string wide = "(?:a*b";
  for (int i = 0; i < 16'000; ++i) wide += "|a*b";
  std::string wider;
  for (int i = 0; i < 70; ++i) wider += fmt::format("{})x{}=none\n", wide, i);
  check("--tensor-type-file", wider, "too large together with those before");
  check("-c",
        R"({"_type":"FqnToConfig","_version":1,"_data":{"fqn_to_config":{)" +
            fill([](int i) { return fmt::format("\"re:a.*b{}\":null,", i); }) +
            R"("_default":null}}})",
        "more than 2048 patterns");
}

// As many as are allowed, against every name of a model.
TEST(HostileRules, TwoThousandPatternsTakeFewSeconds) {
  const TempDir dir;
  std::map<std::string, HostTensor> tensors;
  std::string rules;
  for (int i = 0; i < 2048; ++i) {
    rules += fmt::format("layers\\.{}\\.(up|down).*_{}=none\n", i % 64, i);
    if (i % 4 != 0) continue;
    tensors[fmt::format("layers.{}.up.x_{}.weight", i % 64, i)] =
        HostTensor(DType::BFloat16, {32, 32});
  }
  const std::string path = model(dir, "m", std::move(tensors)).string();
  const std::string file = dir.write("rules.txt", rules).string();
  const double before = child_seconds();
  const ToolResult result = plan_int8(path, {"--tensor-type-file", file});
  EXPECT_LT(child_seconds() - before, 5);
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("more rules match no tensor"));
}

TEST(HostileShapes, WithoutElementsAreKept) {
  const TempDir dir;
  const fs::path path = model(dir,
                              "m",
                              {{"model.layers.0.mlp.down_proj.weight",
                                HostTensor(DType::BFloat16, {0, 32})},
                               {"model.layers.0.mlp.gate_proj.weight",
                                HostTensor(DType::BFloat16, {0, 16, 32})}});
  const ToolResult result = plan_int8(path.string());
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("no elements"));
}

// Selected by a rule, in every format: one action, one reason, and every
// command takes the result.
TEST(HostileShapes, WithoutElementsPassEveryFormat) {
  const TempDir dir;
  const std::string path = model(dir,
                                 "m",
                                 {{"model.layers.0.mlp.down_proj.weight",
                                   HostTensor(DType::BFloat16, {0, 64})},
                                  {"model.layers.0.mlp.gate_proj.weight",
                                   HostTensor(DType::BFloat16, {64, 0})}})
                               .string();
  const std::string tiles =
      "int4_weight_only:group_size=32,int4_packing_format=";
  int runs = 0;
  for (const std::string& config :
       {std::string("int8_weight_only"),
        std::string("int4_weight_only:group_size=32"),
        tiles + "tile_packed_to_4d",
        tiles + "tile_packed_to_4d,int4_choose_qparams_algorithm=hqq",
        std::string("intx_weight_only:weight_dtype=int4,"
                    "intx_choose_qparams_algorithm=hqq_scale_only"),
        std::string("float8_weight_only"),
        std::string("nf4_weight_only"),
        std::string("W8A8"),
        std::string("FP8_BLOCK")}) {
    const std::string out = dir.path() / std::to_string(runs++);
    const ToolResult made = run_tool({"quantize",
                                      path,
                                      "-o",
                                      out,
                                      "--tensor-type",
                                      "down_proj|gate_proj=" + config,
                                      "--allow-private-format",
                                      "--json"});
    ASSERT_EQ(made.exit_code, 0) << config << ": " << made.err;
    for (const auto& tensor : nlohmann::json::parse(made.out)["tensors"]) {
      const std::string name = tensor["name"];
      const bool empty =
          name.find("down") != name.npos || name.find("gate") != name.npos;
      EXPECT_EQ(tensor["action"], "keep") << name;
      EXPECT_EQ(tensor["reason"], empty ? "no elements" : "no rule applies")
          << name;
    }
    for (const std::vector<std::string>& command :
         {std::vector<std::string>{"inspect", out, "--stats"},
          {"verify", out},
          {"diff", path, out, "--min-sqnr", "60"}}) {
      const ToolResult result = run_tool(command);
      EXPECT_EQ(result.exit_code, 0) << config << command[0] << result.err;
    }
  }
}

TEST(HostileDiff, OfStrangersIsNotEqual) {
  const TempDir dir;
  const std::string a = model(dir, "a").string();
  support::save_tensors(dir.path() / "b.safetensors",
                        {{"w", HostTensor(DType::Float32, {2})}});
  const std::string b = (dir.path() / "b.safetensors").string();
  const ToolResult result = run_tool({"diff", a, b});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.out, Not(HasSubstr("equal")));
  EXPECT_THAT(result.err, HasSubstr("no tensor in common"));
  const ToolResult nan = run_tool({"diff", a, a, "--min-sqnr", "nan"});
  EXPECT_EQ(nan.exit_code, 2);
  EXPECT_THAT(nan.err, HasSubstr("--min-sqnr: expected a number"));
}

}  // namespace
}  // namespace mantissa
