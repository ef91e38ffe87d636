// What the files of sentence-transformers say about a model; its vectors are
// judged in tests/judges.
#include <mantissa/torch/sentence_encoder.h>

#include <fstream>
#include <map>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <mantissa/core/error.h>

#include "support/exchange.h"
#include "support/temp_dir.h"

namespace mantissa {
namespace {

using ::testing::HasSubstr;
using Json = nlohmann::json;

constexpr std::int64_t kHidden = 8;
constexpr std::int64_t kWide = 16;
constexpr std::int64_t kPositions = 32;

// A BertModel of one layer without its pooler.
class SentenceLoadingTest : public ::testing::Test {
 protected:
  void SetUp() override {
    config_ = {{"model_type", "bert"},
               {"vocab_size", 12},
               {"hidden_size", kHidden},
               {"intermediate_size", kWide},
               {"num_hidden_layers", 1},
               {"num_attention_heads", 2},
               {"max_position_embeddings", kPositions}};
    write("modules.json",
          {{{"path", ""}, {"type", "sentence_transformers.models.Transformer"}},
           {{"path", "1_Pooling"}, {"type", "a.b.pooling.Pooling"}}});
    std::filesystem::create_directory(dir_.path() / "1_Pooling");
    write("1_Pooling/config.json", {{"pooling_mode", "cls"}});
  }

  void write(const char* name, const Json& json) const {
    std::ofstream(dir_.path() / name) << json;
  }

  SentenceConfig load() const {
    write("config.json", config_);
    std::map<std::string, HostTensor> tensors;
    const auto add = [&](const std::string& name, Shape shape) {
      tensors.emplace(name, HostTensor(DType::Float32, std::move(shape)));
    };
    const auto linear =
        [&](const std::string& name, std::int64_t out, std::int64_t in) {
          add(name + ".weight", {out, in});
          add(name + ".bias", {out});
        };
    const auto norm = [&](const std::string& name) {
      add(name + ".weight", {kHidden});
      add(name + ".bias", {kHidden});
    };
    add("embeddings.word_embeddings.weight", {12, kHidden});
    add("embeddings.position_embeddings.weight", {kPositions, kHidden});
    add("embeddings.token_type_embeddings.weight", {2, kHidden});
    norm("embeddings.LayerNorm");
    const std::string layer = "encoder.layer.0.";
    for (const char* name : {"query", "key", "value"}) {
      linear(layer + "attention.self." + name, kHidden, kHidden);
    }
    linear(layer + "attention.output.dense", kHidden, kHidden);
    norm(layer + "attention.output.LayerNorm");
    linear(layer + "intermediate.dense", kWide, kHidden);
    linear(layer + "output.dense", kHidden, kWide);
    norm(layer + "output.LayerNorm");
    support::save_tensors(dir_.path() / "model.safetensors", tensors);
    return load_sentence_encoder(dir_.path())->sentence();
  }

  std::string refused(ErrorKind kind) const {
    try {
      load();
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), kind) << error.what();
      return error.what();
    }
    ADD_FAILURE() << "nothing was refused";
    return {};
  }

  support::TempDir dir_;
  Json config_;
};

TEST_F(SentenceLoadingTest, ReadsPoolingAsAWordOrAsFlags) {
  EXPECT_EQ(load().pooling, Pooling::Cls);
  write("1_Pooling/config.json", {{"pooling_mode", {"mean_sqrt_len_tokens"}}});
  EXPECT_EQ(load().pooling, Pooling::MeanSqrt);
  write("1_Pooling/config.json",
        {{"pooling_mode_max_tokens", true}, {"pooling_mode_cls_token", false}});
  EXPECT_EQ(load().pooling, Pooling::Max);
  write("1_Pooling/config.json", {{"pooling_mode", {"mean", "max"}}});
  EXPECT_THAT(refused(ErrorKind::Usage),
              HasSubstr("1_Pooling/config.json: max is not supported beside "
                        "another pooling; supported: one of mean, cls, max"));
  write("1_Pooling/config.json", {{"pooling_mode", "lasttoken"}});
  EXPECT_THAT(refused(ErrorKind::Usage), HasSubstr("lasttoken is not"));
  write("1_Pooling/config.json", {{"pooling_mode_cls_token", false}});
  EXPECT_THAT(refused(ErrorKind::Usage), HasSubstr("no pooling mode is on"));
}

TEST_F(SentenceLoadingTest, TakesTheLengthOfTheFirstFileThatHasOne) {
  EXPECT_EQ(load().max_length, kPositions);
  write("tokenizer_config.json", {{"model_max_length", 1e30}});
  EXPECT_EQ(load().max_length, kPositions);
  write("tokenizer_config.json", {{"model_max_length", 24}});
  EXPECT_EQ(load().max_length, 24);
  write("sentence_bert_config.json", {{"do_lower_case", true}});
  EXPECT_EQ(load().max_length, 24);
  EXPECT_TRUE(load().lower_case);
  write("sentence_bert_config.json", {{"max_seq_length", 16}});
  EXPECT_EQ(load().max_length, 16);
  EXPECT_FALSE(load().lower_case);
  write("sentence_bert_config.json", {{"max_seq_length", 1 << 30}});
  EXPECT_EQ(load().max_length, kPositions);
  write("sentence_bert_config.json", {{"max_seq_length", "16"}});
  EXPECT_THAT(refused(ErrorKind::Input),
              HasSubstr("sentence_bert_config.json: max_seq_length: expected a "
                        "number, got \"16\""));
}

TEST_F(SentenceLoadingTest, ReadsTheDefaultPrompt) {
  const char* name = "config_sentence_transformers.json";
  EXPECT_EQ(load().prompt, "");
  Json json = {{"prompts", {{"query", "query: "}, {"document", ""}}},
               {"default_prompt_name", nullptr}};
  write(name, json);
  EXPECT_EQ(load().prompt, "");
  json["default_prompt_name"] = "query";
  write(name, json);
  EXPECT_EQ(load().prompt, "query: ");
  write("1_Pooling/config.json",
        {{"pooling_mode", "mean"}, {"include_prompt", false}});
  EXPECT_THAT(refused(ErrorKind::Usage), HasSubstr("include_prompt false"));
  json["default_prompt_name"] = "passage";
  write(name, json);
  EXPECT_THAT(refused(ErrorKind::Input),
              HasSubstr("default_prompt_name \"passage\" is none of its "
                        "prompts"));
}

// Refused by the key, before anything of the size is made.
TEST_F(SentenceLoadingTest, BoundsSizes) {
  for (const char* key :
       {"hidden_size", "intermediate_size", "num_attention_heads"}) {
    const Json before = config_;
    config_[key] = std::int64_t{1} << 31;
    EXPECT_THAT(
        refused(ErrorKind::Input),
        HasSubstr(std::string("config.json: ") + key + ": expected at most"));
    config_ = before;
  }
}

}  // namespace
}  // namespace mantissa
