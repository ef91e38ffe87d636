#include <cstdint>
#include <fstream>
#include <limits>
#include <map>
#include <string>
#include <vector>

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
using support::TempDir;
using support::ToolResult;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

HostTensor constant(float value, Shape shape) {
  HostTensor tensor(DType::Float32, std::move(shape));
  std::fill_n(tensor.as<float>(), tensor.numel(), value);
  return tensor;
}

class TwoCheckpoints : public testing::Test {
 protected:
  void SetUp() override {
    support::save_tensors(a(),
                          {{"same.w", constant(1, {2, 2})},
                           {"near.w", constant(1, {4})},
                           {"only_a.w", constant(1, {4})}});
    support::save_tensors(b(),
                          {{"same.w", constant(1, {2, 2})},
                           {"near.w", constant(1.125F, {4})},
                           {"only_b.w", constant(1, {4})}});
  }
  std::string a() const { return (dir_.path() / "a.safetensors").string(); }
  std::string b() const { return (dir_.path() / "b.safetensors").string(); }

  TempDir dir_;
};

TEST_F(TwoCheckpoints, DiffShowsTheWorst) {
  const ToolResult result = run_tool({"diff", a(), b()});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out,
            "tensor  A    B        SQNR    cosine  max error\n"
            "near.w  F32  F32  18.06 dB  1.000000      0.125\n"
            "... and 1 more (--all)\n"
            "\n"
            "A    B    tensors      SQNR     worst  max error\n"
            "F32  F32        2  21.07 dB  18.06 dB      0.125\n"
            "\n"
            "1 only in A:\n"
            "  only_a.w\n"
            "1 only in B:\n"
            "  only_b.w\n"
            "2 tensors compared, 1 equal, SQNR 21.07 dB over all values\n");
}

TEST_F(TwoCheckpoints, DiffOfEqualsSaysSo) {
  EXPECT_THAT(run_tool({"diff", a(), a()}).out,
              AllOf(HasSubstr("3 tensors compared, all equal"),
                    Not(HasSubstr("same.w"))));
  EXPECT_THAT(run_tool({"diff", a(), a(), "--all"}).out, HasSubstr("same.w"));
}

TEST_F(TwoCheckpoints, DiffThresholdIsExitFive) {
  ToolResult result = run_tool({"diff", a(), b(), "--min-sqnr", "20"});
  EXPECT_EQ(result.exit_code, 5);
  EXPECT_THAT(result.err,
              HasSubstr("\"near.w\" has 18.06 dB, below --min-sqnr 20"));
  EXPECT_THAT(result.out, HasSubstr("2 tensors compared"));
  result = run_tool({"diff", a(), b(), "--min-sqnr", "10"});
  EXPECT_EQ(result.exit_code, 5);
  EXPECT_THAT(result.err, HasSubstr("\"only_a.w\" is missing in B"));
  EXPECT_EQ(run_tool({"diff", a(), a(), "--min-sqnr", "99"}).exit_code, 0);
}

TEST_F(TwoCheckpoints, DiffRefusesOtherDtypes) {
  for (const char* dtype : {"int8", "half"}) {
    const ToolResult result = run_tool({"diff", a(), b(), "--dtype", dtype});
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_THAT(result.err, HasSubstr("expected float32, bfloat16 or float16"));
  }
}

TEST_F(TwoCheckpoints, DiffWritesJson) {
  const auto json =
      nlohmann::json::parse(run_tool({"diff", a(), b(), "--json"}).out);
  EXPECT_EQ(json["schema_version"], 1);
  EXPECT_EQ(json["compared"], 2);
  EXPECT_EQ(json["only_in_a"][0], "only_a.w");
  EXPECT_EQ(json["tensors"][0]["name"], "near.w");
  EXPECT_EQ(json["tensors"][0]["differing"], 4);
  EXPECT_TRUE(json["tensors"][1]["sqnr_db"].is_null());
}

TEST_F(TwoCheckpoints, VerifySound) {
  const ToolResult result = run_tool({"verify", a()});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.out, "sound: 3 tensors (0 quantized), 48 B\n");
}

TEST_F(TwoCheckpoints, VerifyWrongIsFive) {
  HostTensor w = constant(1, {4});
  w.as<float>()[2] = std::numeric_limits<float>::quiet_NaN();
  support::save_tensors(a(), {{"w", w}});
  const ToolResult result = run_tool({"verify", a()});
  EXPECT_EQ(result.exit_code, 5);
  EXPECT_THAT(
      result.out,
      AllOf(HasSubstr("wrong: \"w\": value 2 is NaN or infinite\n"),
            HasSubstr("--allow-nonfinite accepts NaN and infinity "
                      "where nothing is quantized: 1 of these findings"),
            HasSubstr("not sound: 1 findings")));
  EXPECT_EQ(run_tool({"verify", a(), "--allow-nonfinite"}).exit_code, 0);
  const auto json =
      nlohmann::json::parse(run_tool({"verify", a(), "--json"}).out);
  EXPECT_EQ(json["sound"], false);
  EXPECT_EQ(json["findings"][0]["severity"], "wrong");
}

// Blocks are quantized, whatever the file.
TEST(VerifyGguf, NanInAScaleOfBlocksIsNeverAllowed) {
  constexpr std::uint32_t kQ8 = 8;
  std::string blocks(std::size_t{2} * 96 * 34, '\x10');
  blocks.replace(0, 2, "\xff\x7f");  // the first scale, float16
  support::RawGguf file = support::RawGguf::tiny_llama();
  file.set_tensor("blk.0.ffn_up.weight", kQ8, {64, 96}, blocks);
  const TempDir dir;
  const std::string path = dir.write("model.gguf", file.bytes()).string();
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"verify", path},
        {"verify", path, "--allow-nonfinite"}}) {
    const ToolResult result = run_tool(words);
    EXPECT_EQ(result.exit_code, 5);
    EXPECT_THAT(result.out, HasSubstr("value 0 is NaN or infinite"));
    EXPECT_THAT(result.out, Not(HasSubstr("--allow-nonfinite")));
  }
}

TEST_F(TwoCheckpoints, VerifyMalformedIsFour) {
  std::ofstream(a(), std::ios::app) << "x";
  const ToolResult result = run_tool({"verify", a()});
  EXPECT_EQ(result.exit_code, 4);
  EXPECT_THAT(result.err, HasSubstr("bytes are left over"));
}

}  // namespace
}  // namespace mantissa
