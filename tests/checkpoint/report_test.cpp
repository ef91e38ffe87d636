#include "checkpoint/report/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include <nlohmann/json.hpp>

#include <mantissa/configs/fqn_to_config.h>
#include <mantissa/configs/registry.h>
#include <mantissa/core/error.h>

#include "checkpoint/report/escape.h"
#include "checkpoint/report/heat_map.h"
#include "checkpoint/report/palette.h"
#include "core/quoted.h"
#include "support/measured_run.h"
#include "support/temp_dir.h"
#include "support/torchao_source.h"

namespace mantissa {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

std::string read(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (std::size_t at = text.find(part); at != text.npos;
       at = text.find(part, at + part.size())) {
    ++found;
  }
  return found;
}

TEST(ReportEscape, ShowsWhatHidesOrTurnsText) {
  EXPECT_EQ(printable("a\x1b[31m\nb\x7f"), "a\\x1b[31m\\x0ab\\x7f");
  EXPECT_EQ(printable("a\xe2\x80\xae"
                      "b"),
            "a\\u{202e}b");
  EXPECT_EQ(printable("zero\xe2\x80\x8bwidth"), "zero\\u{200b}width");
  EXPECT_EQ(printable("bad\xff\xc3"), "bad\\xff\\xc3");
  EXPECT_EQ(printable("gr\xc3\xbc\xc3\x9f"), "gr\xc3\xbc\xc3\x9f");
}

TEST(ReportEscape, HtmlHoldsNoMarkup) {
  EXPECT_EQ(report::html("<script>alert('x')</script>&\""),
            "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;&quot;");
  EXPECT_EQ(report::html_block("a\n<b>"), "a\n&lt;b&gt;");
}

TEST(ReportEscape, CsvHoldsNoFormula) {
  EXPECT_EQ(report::csv("plain.name"), "plain.name");
  EXPECT_EQ(report::csv("a,\"b\""), "\"a,\"\"b\"\"\"");
  EXPECT_EQ(report::csv("=HYPERLINK(\"http://x\")"),
            "\"'=HYPERLINK(\"\"http://x\"\")\"");
  for (const char* text : {"=1", "+1", "-1", "@SUM"}) {
    EXPECT_EQ(report::csv(text), std::string("'") + text);
  }
  EXPECT_EQ(report::csv("  =1"), "\"'  =1\"");
  EXPECT_EQ(report::csv("a\r\nb"), "a\\x0d\\x0ab");
  EXPECT_EQ(report::csv("\t=1"), "\\x09=1");
}

TEST(ReportEscape, MarkdownHoldsNoMarkup) {
  EXPECT_EQ(report::markdown("model.layers.0.q_proj.weight"),
            "`model.layers.0.q_proj.weight`");
  EXPECT_EQ(report::markdown("a|b`c`<i>@user"),
            "a\\|b\\`c\\`&lt;i&gt;&#64;user");
  EXPECT_EQ(report::markdown("[x](javascript:alert`1`)"),
            "\\[x\\]\\(javascript\\:alert\\`1\\`\\)");
  EXPECT_EQ(report::markdown_block("a\n```\nb", "json"),
            "````json\na\n```\nb\n````\n");
}

TEST(ReportEscape, ShellWordsAreQuotedWhereNeeded) {
  EXPECT_EQ(report::shell_word("int8_weight_only"), "int8_weight_only");
  EXPECT_EQ(report::shell_word("re:.*q_proj"), "'re:.*q_proj'");
  EXPECT_EQ(report::shell_word("it's"), "'it'\\''s'");
  EXPECT_EQ(report::shell_word(""), "''");
}

TEST(ReportEscape, ShortenedKeepsBothEnds) {
  EXPECT_EQ(report::shortened("abcdefghij", 10), "abcdefghij");
  EXPECT_EQ(report::shortened("abcdefghijk", 10), "abcd...ijk");
}

TEST(ReportPalette, GrowsLighterAndStaysReadable) {
  // Sum of the channels stands for lightness well enough to order it.
  int before = -1;
  for (int i = 0; i <= 20; ++i) {
    const std::string colour = report::colour_at(i / 20.0);
    int sum = 0;
    for (int c = 0; c < 3; ++c) {
      sum += std::stoi(
          colour.substr(static_cast<std::size_t>(1 + 2 * c), 2), nullptr, 16);
    }
    EXPECT_GT(sum, before) << i;
    before = sum;
  }
  EXPECT_EQ(report::ink_on(0), "#fff");
  EXPECT_EQ(report::ink_on(1), "#000");
}

TEST(ReportFacts, ReadsPlacesFromNames) {
  const auto place = [](const char* name, TensorRole role) {
    LoadingTensor tensor;
    tensor.name = name;
    tensor.role = role;
    return report::place_of(tensor);
  };
  const report::Place query =
      place("model.layers.12.self_attn.q_proj.weight", TensorRole::Linear);
  EXPECT_EQ(query.layer, 12);
  EXPECT_EQ(query.module, "self_attn.q_proj");
  EXPECT_EQ(query.kind, "Attention");
  const report::Place expert =
      place("model.layers.3.mlp.experts.17.up_proj.weight", TensorRole::Linear);
  EXPECT_EQ(expert.layer, 3);
  EXPECT_EQ(expert.module, "mlp.experts.#.up_proj");
  const report::Place head = place("lm_head.weight", TensorRole::Head);
  EXPECT_EQ(head.layer, -1);
  EXPECT_EQ(head.module, "lm_head");
}

// A plan over a source, run in memory.
class ReportTest : public ::testing::Test {
 protected:
  static constexpr const char* kLlama =
      R"({"architectures": ["LlamaForCausalLM"], "model_type": "llama",
          "tie_word_embeddings": true})";

  void run(const support::MemorySource& source, const std::string& config) {
    rules_ = std::make_unique<RuleSet>(
        make_rule_set(parse_config_words(config), {}));
    PlanRequest request;
    request.rules = rules_.get();
    request.allow_unknown_names = true;
    plan_ = make_plan(source, request);
    require_runnable(plan_);
    result_ = support::measured_run(plan_, source);
  }

  void write(std::vector<std::string> command = {"mantissa", "quantize"},
             std::optional<double> min_sqnr = {}) {
    report::write(path(),
                  {plan_,
                   result_,
                   std::move(command),
                   "models/<img src=x onerror=alert(1)>",
                   "out",
                   "memory",
                   "00ff",
                   "scalar",
                   min_sqnr});
  }

  fs::path path() const { return directory_.path() / "out.report"; }
  std::string text(const char* file) const { return read(path() / file); }

  support::TempDir directory_;
  std::unique_ptr<RuleSet> rules_;
  Plan plan_;
  RunResult result_;
};

support::MemorySource llama(const std::string& hostile = "") {
  support::MemorySource source(
      R"({"architectures": ["LlamaForCausalLM"], "model_type": "llama",
          "tie_word_embeddings": true})");
  source.add("model.embed_tokens.weight",
             support::smooth_weight({32, 64}, 0.5));
  for (int i = 0; i < 2; ++i) {
    const std::string layer = "model.layers." + std::to_string(i) + ".";
    source.add(layer + "self_attn.q_proj.weight",
               support::smooth_weight({64, 64}, i));
    source.add(layer + "mlp.down_proj.weight",
               support::smooth_weight({64, 128}, 2 + i));
    source.add(layer + "input_layernorm.weight",
               support::smooth_weight({64}, 4 + i));
  }
  source.add("model.norm.weight", support::smooth_weight({64}, 9));
  if (!hostile.empty()) {
    source.add(hostile, support::smooth_weight({64, 64}, 7));
  }
  return source;
}

TEST_F(ReportTest, TellsSizesAndQuality) {
  run(llama(), "int8_weight_only");
  write();
  const auto summary = nlohmann::json::parse(text("summary.json"));
  EXPECT_EQ(summary["schema_version"], 1);
  EXPECT_EQ(summary["counts"]["quantize"], 4);
  EXPECT_EQ(summary["quality"]["measured_tensors"], 4);
  EXPECT_EQ(summary["quality"]["worst"].size(), 4u);
  EXPECT_EQ(summary["source_bytes"], plan_.source_bytes);
  std::int64_t source = 0;
  for (const auto& kind : summary["kinds"]) {
    source += kind["source_bytes"].get<std::int64_t>();
  }
  EXPECT_EQ(source, plan_.source_bytes);
  // Overall SQNR by its formula.
  double signal = 0;
  double noise = 0;
  for (const TensorResult& tensor : result_.tensors) {
    for (const ErrorSums& sums : tensor.errors) {
      signal += sums.signal;
      noise += sums.noise;
    }
  }
  EXPECT_NEAR(summary["quality"]["sqnr_db"].get<double>(),
              10 * std::log10(signal / noise),
              1e-9);
  EXPECT_EQ(summary["quantization_config"]["quant_method"], "torchao");
  EXPECT_THAT(text("report.md"), HasSubstr("\"quant_method\": \"torchao\""));
  EXPECT_THAT(text("report.html"), HasSubstr("&quot;quant_method&quot;"));
  EXPECT_EQ(count(text("tensors.csv"), "\n"), plan_.tensors.size() + 1);
  EXPECT_FALSE(fs::exists(path() / "experts.csv"));
}

TEST_F(ReportTest, HostileNamesStayText) {
  const std::string hostile =
      "evil.x\"><script>alert(1)</script>|[a](javascript:b)`=cmd\n,'"
      "\xe2\x80\xae";
  run(llama(hostile), "int8_weight_only");
  write({"mantissa", "quantize", "</pre><script>", "it's", "\xff"}, 200.0);
  const std::string page = text("report.html");
  EXPECT_THAT(page, Not(HasSubstr("<script")));
  EXPECT_THAT(page, Not(HasSubstr("<img")));
  EXPECT_THAT(page, Not(HasSubstr("\xe2\x80\xae")));
  EXPECT_THAT(page, HasSubstr("&lt;script&gt;alert(1)"));
  EXPECT_EQ(count(page, "<pre>"), count(page, "</pre>"));
  const std::string card = text("report.md");
  EXPECT_THAT(card, Not(HasSubstr("<script>alert")));
  EXPECT_THAT(card, HasSubstr("\\[a\\]\\(javascript\\:b\\)"));
  EXPECT_EQ(count(text("tensors.csv"), "\n"), plan_.tensors.size() + 1);
  const auto summary = nlohmann::json::parse(text("summary.json"));
  EXPECT_EQ(summary["command"][3], "it's");
}

TEST_F(ReportTest, PageNeedsNothingFromOutside) {
  run(llama(), "int8_weight_only");
  write();
  const std::string page = text("report.html");
  for (const char* word :
       {"http:", "https:", "<script", "@import", "url(", "<link", " src=\""}) {
    EXPECT_THAT(page, Not(HasSubstr(word)));
  }
  EXPECT_THAT(page, HasSubstr("default-src 'none'"));
  EXPECT_THAT(page, HasSubstr("@media print"));
}

TEST_F(ReportTest, ShowsEveryExpert) {
  support::MemorySource source(
      R"({"architectures": ["Qwen3MoeForCausalLM"], "model_type": "qwen3_moe",
          "num_experts": 5, "tie_word_embeddings": true})");
  source.add("model.embed_tokens.weight", support::smooth_weight({32, 64}, 1));
  const std::string mlp = "model.layers.0.mlp.";
  source.add(mlp + "gate.weight", support::smooth_weight({5, 64}, 2));
  for (int e = 0; e < 5; ++e) {
    for (const char* part : {"gate_proj", "up_proj", "down_proj"}) {
      source.add(mlp + "experts." + std::to_string(e) + "." + part + ".weight",
                 support::smooth_weight({64, 64}, 3 * e + part[0]));
    }
  }
  run(source, "int8_weight_only");
  write();
  EXPECT_EQ(count(text("experts.csv"), "\n"), 1u + 2 * 5);
  EXPECT_THAT(text("report.html"), HasSubstr("calibration"));
  const auto summary = nlohmann::json::parse(text("summary.json"));
  ASSERT_EQ(summary["experts"].size(), 2u);
  EXPECT_EQ(summary["experts"][0]["experts"], 5);
}

TEST_F(ReportTest, ThresholdNamesTheWorst) {
  run(llama(), "int8_weight_only");
  EXPECT_EQ(report::below_threshold(plan_, result_, 1.0).tensors, 0u);
  const report::Missed missed = report::below_threshold(plan_, result_, 1000.0);
  EXPECT_EQ(missed.tensors, 4u);
  EXPECT_THAT(missed.worst, HasSubstr("model.layers.0.self_attn.q_proj"));
  write({"mantissa"}, 1000.0);
  EXPECT_THAT(text("report.html"), HasSubstr("Threshold missed"));
  write({"mantissa"}, 1.0);
  EXPECT_THAT(text("report.html"), HasSubstr("Threshold kept"));
}

TEST_F(ReportTest, RefusesACheckpointAsItsPlace) {
  const fs::path& root = directory_.path();
  fs::create_directory(root / "model");
  const auto check = [&](const fs::path& report) {
    report::check_directory(report, root / "model", root / "out");
  };
  for (const char* inside : {"out",
                             "out/",
                             "out/report",
                             "model/r",
                             "out.partial/x",
                             "out/../out"}) {
    EXPECT_THROW(check(root / inside), Error) << inside;
  }
  for (const char* beside : {"out.report", "out2", "reports/out"}) {
    EXPECT_NO_THROW(check(root / beside)) << beside;
  }
  EXPECT_NO_THROW(check(root));
  EXPECT_EQ(report::default_directory("a/out/"), fs::path("a/out.report"));
}

TEST_F(ReportTest, FailureNamesTheFile) {
  run(llama(), "int8_weight_only");
  std::ofstream(path()) << "a file where the folder should be";
  try {
    write();
    FAIL() << "no error";
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::Target);
    EXPECT_THAT(e.what(), HasSubstr("out.report"));
  }
}

TEST_F(ReportTest, HeatMapPoolsManyLayersAndModules) {
  Plan plan;
  RunResult result;
  for (int layer = 0; layer < 300; ++layer) {
    for (int module = 0; module < (layer == 0 ? 40 : 1); ++module) {
      PlannedTensor planned;
      planned.tensor.name = "layers." + std::to_string(layer) + ".m" +
                            std::string(1, static_cast<char>('a' + module));
      plan.tensors.push_back(planned);
      TensorResult measured;
      measured.errors.push_back({1.0, layer == 123 ? 1.0 : 0.001, 0, 1});
      result.tensors.push_back(measured);
    }
  }
  const report::HeatMap map =
      report::make_heat_map(plan, report::gather_facts(plan, result));
  EXPECT_EQ(map.columns.size(), 24u);
  EXPECT_EQ(map.columns.back(), "other");
  EXPECT_EQ(map.rows.size(), 100u);
  EXPECT_EQ(map.rows[41], "123-125");
  ASSERT_TRUE(map.at(41, 0).has_value());
  EXPECT_EQ(map.at(41, 0)->sqnr, 0.0) << "the worst of the band";
  EXPECT_EQ(map.at(41, 0)->tensors, 3u);
}

}  // namespace
}  // namespace mantissa
