#include <cstring>
#include <functional>
#include <string>
#include <tuple>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <mantissa/checkpoint/source.h>
#include <mantissa/core/error.h>
#include <mantissa/primitives/float_casts.h>

#include "checkpoint/ggml_blocks.h"
#include "support/hostile_files.h"
#include "support/raw_gguf.h"
#include "support/temp_dir.h"

namespace mantissa {
namespace {

using Json = nlohmann::ordered_json;
using support::RawGguf;
using support::TempDir;
using testing::HasSubstr;

constexpr std::uint32_t kF16 = 1;
constexpr std::uint32_t kQ8_0 = 8;

std::unique_ptr<CheckpointSource> open_bytes(const TempDir& dir,
                                             const RawGguf& file,
                                             OpenOptions options = {}) {
  return open_checkpoint(dir.write("model.gguf", file.bytes()), options);
}

std::size_t index_of(const CheckpointSource& source, const std::string& name) {
  for (std::size_t i = 0; i < source.tensors().size(); ++i) {
    if (source.tensors()[i].name == name) return i;
  }
  throw std::runtime_error("no " + name);
}

std::vector<float> read_floats(const CheckpointSource& source,
                               const std::string& name,
                               std::int64_t row,
                               std::int64_t rows) {
  const std::size_t index = index_of(source, name);
  const std::int64_t columns = source.tensors()[index].shape.back();
  std::vector<float> values(static_cast<std::size_t>(rows * columns));
  source.read_rows(index, row, rows, std::as_writable_bytes(std::span(values)));
  return values;
}

std::string text_of(const CheckpointSource& source, const std::string& name) {
  for (const Companion& companion : source.companions()) {
    if (companion.name == name) return companion.text;
  }
  return "";
}

ErrorKind kind_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.kind();
  }
  throw std::runtime_error("no error");
}

// Blocks of Q8_0 with scale 1 and codes that count up over the tensor.
std::string counting_q8(std::int64_t blocks) {
  std::string bytes;
  int code = 0;
  for (std::int64_t b = 0; b < blocks; ++b) {
    bytes += std::string("\x00\x3c", 2);  // 1.0 as a half
    for (int i = 0; i < 32; ++i) bytes += static_cast<char>(code++);
  }
  return bytes;
}

TEST(GgufModel, NamesShapesAndTypes) {
  const TempDir dir;
  const auto source = open_bytes(dir, RawGguf::tiny_llama());
  std::vector<std::string> names;
  for (const SourceTensor& tensor : source->tensors()) {
    names.push_back(tensor.name);
    EXPECT_EQ(tensor.dtype, DType::Float32);
    EXPECT_EQ(tensor.stored_type, "F32");
  }
  EXPECT_THAT(names,
              testing::ElementsAre("model.embed_tokens.weight",
                                   "model.layers.0.input_layernorm.weight",
                                   "model.layers.0.post_attention_layernorm."
                                   "weight",
                                   "model.layers.0.self_attn.q_proj.weight",
                                   "model.layers.0.self_attn.k_proj.weight",
                                   "model.layers.0.self_attn.v_proj.weight",
                                   "model.layers.0.self_attn.o_proj.weight",
                                   "model.layers.0.mlp.gate_proj.weight",
                                   "model.layers.0.mlp.up_proj.weight",
                                   "model.layers.0.mlp.down_proj.weight",
                                   "model.norm.weight"));
  const SourceTensor& down =
      source
          ->tensors()[index_of(*source, "model.layers.0.mlp.down_proj.weight")];
  EXPECT_EQ(down.shape, (Shape{64, 96}));
  EXPECT_EQ(down.stored_bytes, 64 * 96 * 4);
  EXPECT_TRUE(source->metadata().empty());
}

// A tensor of three dimensions is one matrix for each expert.
TEST(GgufModel, ExpertsAreMatricesOfAMixtral) {
  const TempDir dir;
  const auto source = open_bytes(dir, RawGguf::tiny_mixtral());
  const std::string moe = "model.layers.0.block_sparse_moe.";
  EXPECT_EQ(source->tensors()[index_of(*source, moe + "gate.weight")].shape,
            (Shape{3, 64}));
  const std::tuple<const char*, Shape, float> kParts[] = {
      {"w1", {96, 64}, 21}, {"w3", {96, 64}, 22}, {"w2", {64, 96}, 23}};
  for (const auto& [part, shape, first] : kParts) {
    for (std::int64_t e = 0; e < 3; ++e) {
      const std::string name =
          moe + "experts." + std::to_string(e) + "." + part + ".weight";
      const SourceTensor& tensor = source->tensors()[index_of(*source, name)];
      EXPECT_EQ(tensor.shape, shape);
      EXPECT_EQ(tensor.stored_bytes, 64 * 96 * 4);
      const auto rows = read_floats(*source, name, 5, 7);
      std::vector<std::byte> stored(rows.size() * 4);
      source->read_stored_rows(index_of(*source, name), 5, 7, stored);
      EXPECT_EQ(std::memcmp(stored.data(), rows.data(), stored.size()), 0);
      for (std::size_t i = 0; i < rows.size(); ++i) {
        const auto at = static_cast<float>(e * 96 * 64 + 5 * shape[1]) +
                        static_cast<float>(i);
        ASSERT_EQ(rows[i], first + at / 1024) << name << " " << i;
      }
    }
  }
  EXPECT_THROW(read_floats(*source, moe + "experts.1.w1.weight", 90, 7), Error);
  EXPECT_EQ(source->tensors().size(), 8U + 1U + 9U);
}

// Older files: each expert's matrix is a tensor.
TEST(GgufModel, ExpertsOneByOneAreThoseOfATensor) {
  const TempDir dir;
  RawGguf file = RawGguf::tiny_mixtral();
  const auto fused = open_bytes(dir, file);
  const TempDir other;
  const auto split = open_bytes(other, file.split_experts());
  EXPECT_EQ(split->tensors().size(), 8U + 1U + 9U);
  EXPECT_EQ(split->config_json(), fused->config_json());
  for (const SourceTensor& tensor : fused->tensors()) {
    const std::size_t index = index_of(*split, tensor.name);
    EXPECT_EQ(split->tensors()[index].shape, tensor.shape);
    EXPECT_EQ(split->tensors()[index].stored_bytes, tensor.stored_bytes);
    const std::int64_t rows = tensor.shape.size() > 1 ? tensor.shape[0] : 1;
    EXPECT_EQ(read_floats(*split, tensor.name, 0, rows),
              read_floats(*fused, tensor.name, 0, rows))
        << tensor.name;
  }
  // One layer may have both kinds, never of one matrix.
  file.remove_tensor("blk.0.ffn_up.0.weight")
      .remove_tensor("blk.0.ffn_up.1.weight")
      .remove_tensor("blk.0.ffn_up.2.weight")
      .set_f32_tensor("blk.0.ffn_up_exps.weight",
                      {64, 96, 3},
                      std::vector<float>(64 * 96 * 3));
  EXPECT_EQ(open_bytes(other, file)->tensors().size(), 8U + 1U + 9U);
}

TEST(GgufModel, ExpertsMakeTheConfigOfAMixtral) {
  const TempDir dir;
  const Json config =
      Json::parse(open_bytes(dir, RawGguf::tiny_mixtral())->config_json());
  EXPECT_EQ(config["architectures"], Json::array({"MixtralForCausalLM"}));
  EXPECT_EQ(config["model_type"], "mixtral");
  EXPECT_EQ(config["num_local_experts"], 3);
  EXPECT_EQ(config["num_experts_per_tok"], 2);
  EXPECT_EQ(config["intermediate_size"], 96);
  EXPECT_TRUE(config["sliding_window"].is_null());
  EXPECT_FALSE(config.contains("attention_bias"));
}

// Qwen 3 with experts: norms of queries and keys, no row of a head moves.
TEST(GgufModel, QwensHaveTheirNames) {
  const TempDir dir;
  const auto source = open_bytes(dir, RawGguf::tiny_qwen3moe());
  const std::string layer = "model.layers.0.";
  EXPECT_EQ(source->tensors().size(), 8U + 2U + 1U + 9U);
  const std::tuple<std::string, Shape, float> kWeights[] = {
      {"self_attn.q_norm.weight", {16}, 30},
      {"self_attn.k_norm.weight", {16}, 31},
      {"self_attn.q_proj.weight", {64, 64}, 3},
      {"self_attn.k_proj.weight", {32, 64}, 4},
      {"mlp.gate.weight", {3, 64}, 20},
      {"mlp.experts.0.gate_proj.weight", {96, 64}, 21},
      {"mlp.experts.0.up_proj.weight", {96, 64}, 22},
      {"mlp.experts.0.down_proj.weight", {64, 96}, 23}};
  for (const auto& [name, shape, first] : kWeights) {
    const std::size_t index = index_of(*source, layer + name);
    EXPECT_EQ(source->tensors()[index].shape, shape);
    const std::int64_t rows = shape.size() > 1 ? shape[0] : 1;
    const auto values = read_floats(*source, layer + name, 0, rows);
    for (std::size_t i = 0; i < values.size(); ++i) {
      ASSERT_EQ(values[i], first + static_cast<float>(i) / 1024)
          << name << " " << i;
    }
  }
  const auto down =
      read_floats(*source, layer + "mlp.experts.2.down_proj.weight", 0, 1);
  EXPECT_EQ(down[1], 23 + static_cast<float>(2 * 96 * 64 + 1) / 1024);
}

TEST(GgufModel, QwensHaveTheirConfig) {
  const TempDir dir;
  RawGguf file = RawGguf::tiny_qwen3moe();
  const auto config = [&] {
    return Json::parse(open_bytes(dir, file)->config_json());
  };
  const Json made = config();
  EXPECT_EQ(made["architectures"], Json::array({"Qwen3MoeForCausalLM"}));
  EXPECT_EQ(made["model_type"], "qwen3_moe");
  EXPECT_EQ(made["num_experts"], 3);
  EXPECT_EQ(made["num_experts_per_tok"], 2);
  EXPECT_EQ(made["intermediate_size"], 384);
  EXPECT_EQ(made["moe_intermediate_size"], 96);
  EXPECT_EQ(made["head_dim"], 16);
  EXPECT_EQ(made["norm_topk_prob"], true);
  EXPECT_EQ(made["decoder_sparse_step"], 1);
  EXPECT_EQ(made["mlp_only_layers"], Json::array());
  EXPECT_EQ(made["attention_bias"], false);
  EXPECT_EQ(made["use_sliding_window"], false);
  // The experts of a token share the dense width where none of their own is
  // given; the dense width may be missing.
  file.remove_key("qwen3moe.expert_feed_forward_length")
      .set_u32("qwen3moe.feed_forward_length", 192);
  EXPECT_EQ(config()["moe_intermediate_size"], 96);
  file.remove_key("qwen3moe.feed_forward_length")
      .set_u32("qwen3moe.expert_feed_forward_length", 96);
  EXPECT_EQ(config()["intermediate_size"], 96);
}

TEST(GgufModel, QwensTextIsNormalizedAndSplitByDigits) {
  const TempDir dir;
  const auto source = open_bytes(dir, RawGguf::tiny_qwen3moe());
  const Json tokenizer = Json::parse(text_of(*source, "tokenizer.json"));
  EXPECT_EQ(tokenizer["normalizer"], Json({{"type", "NFC"}}));
  EXPECT_THAT(tokenizer["pre_tokenizer"].dump(),
              HasSubstr(R"(\\p{L}+|\\p{N}|)"));
  EXPECT_EQ(tokenizer["model"]["ignore_merges"], false);
}

// Row b * 8 + a of a head of 16 lies at 2 * a + b, whatever range is asked for.
TEST(GgufModel, RowsOfQueriesAndKeysAreReordered) {
  const TempDir dir;
  const auto source = open_bytes(dir, RawGguf::tiny_llama());
  const std::string name = "model.layers.0.self_attn.k_proj.weight";
  constexpr float kFirst = 4;  // the fifth tensor
  for (const auto& [row, rows] : std::vector<std::pair<int, int>>{
           {0, 32}, {3, 20}, {15, 2}, {31, 1}, {16, 16}, {5, 0}}) {
    const std::vector<float> values = read_floats(*source, name, row, rows);
    for (int i = 0; i < rows; ++i) {
      const int head = (row + i) / 16, b = (row + i) % 16 / 8,
                a = (row + i) % 8;
      const int stored = head * 16 + 2 * a + b;
      for (int k = 0; k < 64; ++k) {
        ASSERT_EQ(values[static_cast<std::size_t>(i * 64 + k)],
                  kFirst + static_cast<float>(stored * 64 + k) / 1024)
            << "rows " << row << "+" << rows << " at " << i << ", " << k;
      }
    }
  }
  const auto v =
      read_floats(*source, "model.layers.0.self_attn.v_proj.weight", 1, 1);
  EXPECT_EQ(v[0], 5 + 64.0f / 1024);
}

TEST(GgufModel, RangesOutsideATensorAreErrors) {
  const TempDir dir;
  const auto source = open_bytes(dir, RawGguf::tiny_llama());
  std::vector<std::byte> out(2 * 64 * 4);
  const auto read = [&](std::int64_t row, std::int64_t rows, std::size_t size) {
    return kind_of(
        [&] { source->read_rows(0, row, rows, std::span(out).first(size)); });
  };
  EXPECT_EQ(read(7, 2, 512), ErrorKind::Unexpected);
  EXPECT_EQ(read(-1, 2, 512), ErrorKind::Unexpected);
  EXPECT_EQ(read(0, 2, 511), ErrorKind::Unexpected);
  EXPECT_EQ(kind_of([&] { source->read_stored_rows(0, 0, 1, out); }),
            ErrorKind::Unexpected);
}

TEST(GgufModel, BlocksMoveAsWholeRows) {
  const TempDir dir;
  RawGguf file = RawGguf::tiny_llama();
  file.set_tensor("blk.0.attn_k.weight", kQ8_0, {64, 32}, counting_q8(64));
  const auto source = open_bytes(dir, file, {DType::Float32});
  const std::size_t index =
      index_of(*source, "model.layers.0.self_attn.k_proj.weight");
  EXPECT_EQ(source->tensors()[index].stored_type, "Q8_0");
  std::string stored(3 * 68, '\0');
  source->read_stored_rows(
      index, 7, 3, std::as_writable_bytes(std::span(stored)));
  const std::string all = counting_q8(64);
  // Rows 7, 8, 9 of the head lie at 14, 1, 3.
  EXPECT_EQ(stored,
            all.substr(14 * 68, 68) + all.substr(1 * 68, 68) +
                all.substr(3 * 68, 68));
  const auto values =
      read_floats(*source, "model.layers.0.self_attn.k_proj.weight", 7, 3);
  EXPECT_EQ(values[0], static_cast<float>(static_cast<std::int8_t>(14 * 64)));
  EXPECT_EQ(values[64 + 5], static_cast<float>(64 + 5));
}

TEST(GgufModel, BiasesAreReorderedToo) {
  const TempDir dir;
  RawGguf file = RawGguf::tiny_llama();
  for (const auto& [name, size] :
       std::vector<std::pair<std::string, int>>{{"attn_q", 64},
                                                {"attn_k", 32},
                                                {"attn_v", 32},
                                                {"attn_output", 64}}) {
    std::vector<float> values;
    for (int i = 0; i < size; ++i) values.push_back(static_cast<float>(i));
    file.set_f32_tensor(
        "blk.0." + name + ".bias", {static_cast<std::uint64_t>(size)}, values);
  }
  const auto source = open_bytes(dir, file);
  const auto k =
      read_floats(*source, "model.layers.0.self_attn.k_proj.bias", 0, 1);
  EXPECT_EQ(k[1], 2.0f);
  EXPECT_EQ(k[8], 1.0f);
  EXPECT_EQ(k[16 + 9], 16 + 3.0f);
  const auto v =
      read_floats(*source, "model.layers.0.self_attn.v_proj.bias", 0, 1);
  EXPECT_EQ(v[9], 9.0f);
  EXPECT_TRUE(Json::parse(source->config_json())["attention_bias"]);
}

TEST(GgufModel, DefaultDtypes) {
  const TempDir dir;
  RawGguf file = RawGguf::tiny_llama();
  const auto dtype = [&](OpenOptions options = {}) {
    const auto source = open_bytes(dir, file, options);
    const DType first = source->tensors()[0].dtype;
    for (const SourceTensor& tensor : source->tensors()) {
      EXPECT_EQ(tensor.dtype, first);
    }
    EXPECT_EQ(Json::parse(source->config_json())["dtype"],
              std::string(name(first)));
    return first;
  };
  EXPECT_EQ(dtype(), DType::Float32);
  file.set_tensor(
      "blk.0.attn_v.weight", kF16, {64, 32}, std::string(64 * 32 * 2, '\0'));
  EXPECT_EQ(dtype(), DType::Float16);
  file.set_tensor(
      "blk.0.attn_k.weight", 30, {64, 32}, std::string(64 * 32 * 2, '\0'));
  EXPECT_EQ(dtype(), DType::Float32);  // neither half type holds both
  file.set_tensor("blk.0.attn_q.weight", kQ8_0, {64, 64}, counting_q8(128));
  EXPECT_EQ(dtype(), DType::BFloat16);
  EXPECT_EQ(dtype({DType::Float16}), DType::Float16);
  EXPECT_EQ(dtype({DType::Float32}), DType::Float32);
  EXPECT_THROW(dtype({DType::Int8}), Error);
}

TEST(GgufModel, PlainTypesInTheirOwnDtypeKeepTheirBits) {
  const auto& f16 = *find_ggml_type(kF16);
  std::vector<std::uint16_t> every(1 << 16), copy(1 << 16);
  for (std::size_t i = 0; i < every.size(); ++i) {
    every[i] = static_cast<std::uint16_t>(i);
  }
  convert_blocks(f16,
                 std::as_bytes(std::span(every)).data(),
                 1 << 16,
                 DType::Float16,
                 std::as_writable_bytes(std::span(copy)).data());
  EXPECT_EQ(every, copy);
}

TEST(GgufModel, ConfigAndGeneration) {
  const TempDir dir;
  RawGguf file = RawGguf::tiny_llama();
  file.set_f32("llama.rope.freq_base", 500000.0f)
      .set_u32("tokenizer.ggml.eot_token_id", 7);
  const auto source = open_bytes(dir, file);
  const Json config = Json::parse(source->config_json());
  EXPECT_EQ(config["architectures"], Json::array({"LlamaForCausalLM"}));
  EXPECT_EQ(config["head_dim"], 16);
  EXPECT_EQ(config["num_key_value_heads"], 2);
  EXPECT_EQ(config["rope_theta"], 500000.0);
  EXPECT_EQ(config["rope_parameters"]["rope_theta"], 500000.0);
  EXPECT_EQ(config["rope_parameters"]["rope_type"], "default");
  EXPECT_EQ(config["tie_word_embeddings"], true);
  EXPECT_EQ(config["vocab_size"], 8);
  EXPECT_EQ(static_cast<float>(config["rms_norm_eps"].get<double>()), 1e-5f);
  const Json generation =
      Json::parse(text_of(*source, "generation_config.json"));
  EXPECT_EQ(generation["bos_token_id"], 0);
  EXPECT_EQ(generation["eos_token_id"], Json::array({1, 7}));
  EXPECT_FALSE(generation.contains("pad_token_id"));
}

TEST(GgufModel, AnOutputTensorUntiesTheHead) {
  const TempDir dir;
  RawGguf file = RawGguf::tiny_llama();
  file.set_f32_tensor("output.weight", {64, 8}, std::vector<float>(512, 2.0f));
  const auto source = open_bytes(dir, file);
  EXPECT_EQ(Json::parse(source->config_json())["tie_word_embeddings"], false);
  EXPECT_EQ(read_floats(*source, "lm_head.weight", 7, 1)[63], 2.0f);
}

TEST(GgufModel, TokenizerFiles) {
  const TempDir dir;
  RawGguf file = RawGguf::tiny_llama();
  file.set_string("tokenizer.chat_template", "{{ x }}");
  const auto source = open_bytes(dir, file);
  const Json tokenizer = Json::parse(text_of(*source, "tokenizer.json"));
  EXPECT_EQ(tokenizer["model"]["vocab"]["abc"], 6);
  EXPECT_EQ(tokenizer["model"]["merges"], Json::array({"a b", "ab c"}));
  EXPECT_EQ(tokenizer["model"]["ignore_merges"], false);
  EXPECT_TRUE(tokenizer["post_processor"].is_null());
  const Json& added = tokenizer["added_tokens"];
  ASSERT_EQ(added.size(), 3u);
  EXPECT_EQ(added[0]["special"], true);
  EXPECT_EQ(added[2]["content"], "d");
  EXPECT_EQ(added[2]["special"], false);
  const Json config = Json::parse(text_of(*source, "tokenizer_config.json"));
  EXPECT_EQ(config["bos_token"], "<s>");
  EXPECT_EQ(config["eos_token"], "</s>");
  EXPECT_EQ(config["chat_template"], "{{ x }}");
  EXPECT_EQ(config["tokenizer_class"], "PreTrainedTokenizerFast");
  EXPECT_EQ(config["model_max_length"], 128);
  EXPECT_FALSE(config.contains("pad_token"));
}

TEST(GgufModel, BosIsAddedWhenTheFileOrThePreTokenizerSaysSo) {
  const TempDir dir;
  RawGguf file = RawGguf::tiny_llama();
  const auto single = [&] {
    const Json tokenizer =
        Json::parse(text_of(*open_bytes(dir, file), "tokenizer.json"));
    const Json& post = tokenizer["post_processor"];
    return post.is_null() ? 0 : static_cast<int>(post["single"].size());
  };
  EXPECT_EQ(single(), 0);
  file.set_bool("tokenizer.ggml.add_bos_token", 1);
  EXPECT_EQ(single(), 2);
  file.set_bool("tokenizer.ggml.add_eos_token", 1);
  EXPECT_EQ(single(), 3);
  file.remove_key("tokenizer.ggml.add_bos_token")
      .remove_key("tokenizer.ggml.add_eos_token")
      .set_string("tokenizer.ggml.pre", "llama-bpe");
  EXPECT_EQ(single(), 2);
  file.set_bool("tokenizer.ggml.add_bos_token", 0);
  EXPECT_EQ(single(), 0);
}

TEST(GgufModel, NamedChatTemplatesBecomeAList) {
  const TempDir dir;
  RawGguf file = RawGguf::tiny_llama();
  file.set_string("tokenizer.chat_template", "one")
      .set_string("tokenizer.chat_template.tool_use", "two");
  const auto source = open_bytes(dir, file);
  const Json config = Json::parse(text_of(*source, "tokenizer_config.json"));
  EXPECT_EQ(config["chat_template"][1]["name"], "tool_use");
  EXPECT_EQ(config["chat_template"][1]["template"], "two");
}

TEST(GgufModel, FingerprintTellsFilesAndDtypesApart) {
  const TempDir dir;
  RawGguf file = RawGguf::tiny_llama();
  const std::string first = open_bytes(dir, file)->fingerprint();
  EXPECT_EQ(first.size(), 32u);
  EXPECT_EQ(open_bytes(dir, file)->fingerprint(), first);
  EXPECT_NE(open_bytes(dir, file, {DType::BFloat16})->fingerprint(), first);
  file.set_string("general.name", "x");
  EXPECT_NE(open_bytes(dir, file)->fingerprint(), first);
}

class GgufRefused : public testing::TestWithParam<support::HostileFile> {};

TEST_P(GgufRefused, WithKindAndReason) {
  const TempDir dir;
  const auto path = dir.write("model.gguf", GetParam().bytes);
  try {
    open_checkpoint(path);
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), GetParam().kind) << error.what();
    EXPECT_THAT(error.what(), HasSubstr("model.gguf: "));
    EXPECT_THAT(error.what(), HasSubstr(GetParam().says));
  }
}

INSTANTIATE_TEST_SUITE_P(Files,
                         GgufRefused,
                         testing::ValuesIn(support::refused_gguf()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace mantissa
