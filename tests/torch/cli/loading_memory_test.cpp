// The peak memory of a tool that runs a quantized model: what libtorch takes by
// itself, and the file once.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <mantissa/core/tensor_view.h>
#include <mantissa/primitives/float_casts.h>

#include "support/exchange.h"
#include "support/raw_gguf.h"
#include "support/run_tool.h"
#include "support/temp_dir.h"

namespace mantissa {
namespace {

namespace fs = std::filesystem;
using support::RawGguf;
using Json = nlohmann::json;

constexpr std::int64_t kHidden = 1024;
constexpr std::int64_t kHeads = 16;
constexpr std::int64_t kKeyHeads = 4;
constexpr std::int64_t kKeys = kHidden / kHeads * kKeyHeads;
constexpr std::int64_t kFeedForward = 4096;
constexpr std::int64_t kTokens = 4096;
// Large enough that half of the weights a second time is above the limit.
constexpr std::int64_t kLayers = 10;

struct Matrix {
  const char* hugging_face;
  const char* gguf;
  std::int64_t n;
  std::int64_t k;
};

// Of each layer.
constexpr Matrix kMatrices[] = {
    {"self_attn.q_proj", "attn_q", kHidden, kHidden},
    {"self_attn.k_proj", "attn_k", kKeys, kHidden},
    {"self_attn.v_proj", "attn_v", kKeys, kHidden},
    {"self_attn.o_proj", "attn_output", kHidden, kHidden},
    {"mlp.gate_proj", "ffn_gate", kFeedForward, kHidden},
    {"mlp.up_proj", "ffn_up", kFeedForward, kHidden},
    {"mlp.down_proj", "ffn_down", kHidden, kFeedForward},
};

std::string random_bytes(std::size_t count) {
  static std::mt19937_64 random;
  std::string out(count, '\0');
  for (char& byte : out) byte = static_cast<char>(random() >> 56);
  return out;
}

HostTensor constant(DType dtype, Shape shape, std::uint16_t bits) {
  HostTensor tensor(dtype, std::move(shape));
  std::fill_n(tensor.as<std::uint16_t>(), tensor.numel(), bits);
  return tensor;
}

// A directory of compressed-tensors' pack-quantized, 4 bits in groups of 32,
// with the embedding in bfloat16, tied.
fs::path write_pack_quantized(const fs::path& directory, std::int64_t layers) {
  const std::uint16_t one = float_to_bfloat16(1.0f);
  const std::uint16_t small = float_to_bfloat16(0.01f);
  std::map<std::string, HostTensor> tensors;
  tensors["model.embed_tokens.weight"] =
      constant(DType::BFloat16, {kTokens, kHidden}, small);
  tensors["model.norm.weight"] = constant(DType::BFloat16, {kHidden}, one);
  for (std::int64_t i = 0; i < layers; ++i) {
    const std::string layer = "model.layers." + std::to_string(i) + ".";
    for (const char* norm : {"input_layernorm", "post_attention_layernorm"}) {
      tensors[layer + norm + ".weight"] =
          constant(DType::BFloat16, {kHidden}, one);
    }
    for (const Matrix& matrix : kMatrices) {
      const std::string name = layer + matrix.hugging_face + ".weight_";
      HostTensor codes(DType::Int32, {matrix.n, matrix.k / 8});
      const std::string bytes =
          random_bytes(static_cast<std::size_t>(codes.nbytes()));
      bytes.copy(reinterpret_cast<char*>(codes.data()), bytes.size());
      HostTensor shape(DType::Int64, {2});
      shape.as<std::int64_t>()[0] = matrix.n;
      shape.as<std::int64_t>()[1] = matrix.k;
      tensors[name + "packed"] = codes;
      tensors[name + "scale"] =
          constant(DType::BFloat16, {matrix.n, matrix.k / 32}, small);
      tensors[name + "shape"] = shape;
    }
  }
  support::save_tensors(directory / "model.safetensors", tensors);
  const Json weights = {{"num_bits", 4},
                        {"type", "int"},
                        {"symmetric", true},
                        {"strategy", "group"},
                        {"group_size", 32}};
  const Json group = {{"targets", {"Linear"}}, {"weights", weights}};
  const Json quantization = {{"quant_method", "compressed-tensors"},
                             {"format", "pack-quantized"},
                             {"quantization_status", "compressed"},
                             {"ignore", {"lm_head"}},
                             {"config_groups", {{"group_0", group}}}};
  std::ofstream(directory / "config.json")
      << Json{{"architectures", {"LlamaForCausalLM"}},
              {"model_type", "llama"},
              {"vocab_size", kTokens},
              {"hidden_size", kHidden},
              {"intermediate_size", kFeedForward},
              {"num_hidden_layers", layers},
              {"num_attention_heads", kHeads},
              {"num_key_value_heads", kKeyHeads},
              {"max_position_embeddings", 128},
              {"tie_word_embeddings", true},
              {"quantization_config", quantization}};
  return directory;
}

// A type of blocks: its number in the file, and where its scales stand.
struct BlockType {
  std::uint32_t number;
  std::int64_t values;
  std::size_t bytes;
  std::vector<std::size_t> scales;
};

const BlockType kQ4_0 = {2, 32, 18, {0}};
const BlockType kQ4_K = {12, 256, 144, {0, 2}};
const BlockType kQ6_K = {14, 256, 210, {208}};

void set_blocks(RawGguf& file,
                const std::string& name,
                const BlockType& type,
                std::int64_t n,
                std::int64_t k) {
  const auto count = static_cast<std::size_t>(n * k / type.values);
  std::string data = random_bytes(count * type.bytes);
  const std::string scale =
      support::raw<std::uint16_t>(float_to_float16(1e-4f));
  for (std::size_t block = 0; block < count; ++block) {
    for (const std::size_t at : type.scales) {
      data.replace(block * type.bytes + at, scale.size(), scale);
    }
  }
  file.set_tensor(
      name,
      type.number,
      {static_cast<std::uint64_t>(k), static_cast<std::uint64_t>(n)},
      std::move(data));
}

// A GGUF file with layers of one type and the embedding of another, tied.
fs::path write_gguf(const fs::path& directory,
                    std::int64_t layers,
                    const BlockType& type,
                    const BlockType& embedding) {
  const auto u32 = [](std::int64_t value) {
    return static_cast<std::uint32_t>(value);
  };
  std::vector<std::string> tokens = {"a", "b", "ab"};
  while (std::ssize(tokens) < kTokens) {
    tokens.push_back("t" + std::to_string(tokens.size()));
  }
  RawGguf file;
  file.set_string("general.architecture", "llama")
      .set_u32("llama.block_count", u32(layers))
      .set_u32("llama.context_length", 128)
      .set_u32("llama.embedding_length", u32(kHidden))
      .set_u32("llama.feed_forward_length", u32(kFeedForward))
      .set_u32("llama.attention.head_count", u32(kHeads))
      .set_u32("llama.attention.head_count_kv", u32(kKeyHeads))
      .set_f32("llama.attention.layer_norm_rms_epsilon", 1e-5f)
      .set_string("tokenizer.ggml.model", "gpt2")
      .set_string("tokenizer.ggml.pre", "smollm")
      .set_strings("tokenizer.ggml.tokens", tokens)
      .set_i32s("tokenizer.ggml.token_type",
                std::vector<std::int32_t>(kTokens, 1))
      .set_strings("tokenizer.ggml.merges", {"a b"})
      .set_u32("tokenizer.ggml.bos_token_id", 0)
      .set_u32("tokenizer.ggml.eos_token_id", 1);
  const std::vector<float> ones(kHidden, 1.0f);
  file.set_f32_tensor("output_norm.weight", {kHidden}, ones);
  set_blocks(file, "token_embd.weight", embedding, kTokens, kHidden);
  for (std::int64_t i = 0; i < layers; ++i) {
    const std::string layer = "blk." + std::to_string(i) + ".";
    file.set_f32_tensor(layer + "attn_norm.weight", {kHidden}, ones);
    file.set_f32_tensor(layer + "ffn_norm.weight", {kHidden}, ones);
    for (const Matrix& m : kMatrices) {
      set_blocks(file, layer + m.gguf + ".weight", type, m.n, m.k);
    }
  }
  std::ofstream(directory / "model.gguf", std::ios::binary) << file.bytes();
  return directory / "model.gguf";
}

// What the program torch_floor says: libtorch loaded, one linear.
std::int64_t floor_memory() {
  FILE* out = ::popen(MANTISSA_TORCH_FLOOR, "r");
  char line[32] = {};
  const bool read =
      out != nullptr && std::fgets(line, sizeof(line), out) != nullptr;
  if (out == nullptr || ::pclose(out) != 0 || !read) return 0;
  return std::atoll(line);
}

// Largest resident set of the tool running the model, by its own account.
std::int64_t peak_memory(const fs::path& model) {
  const std::vector<std::string> words = {"bench",
                                          "model",
                                          model.string(),
                                          "--threads",
                                          "1",
                                          "--prompt-tokens",
                                          "8",
                                          "--decode-tokens",
                                          "2",
                                          "--repetitions",
                                          "1",
                                          "--json"};
  const support::ToolResult result = support::run_tool(words);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  if (result.exit_code != 0) return 0;
  const Json json = Json::parse(result.out);
  EXPECT_EQ(json["quantized_weights"]["decoded"], Json::array()) << result.out;
  return json["peak_memory_bytes"];
}

std::int64_t file_bytes(const fs::path& model) {
  return static_cast<std::int64_t>(fs::file_size(
      fs::is_directory(model) ? model / "model.safetensors" : model));
}

template <class Write>
void expect_loaded_once(const Write& write) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "sanitizers keep freed memory and shadows of it";
#endif
  const std::int64_t floor = floor_memory();
  ASSERT_GT(floor, 0);
  const support::TempDir one;
  const support::TempDir all;
  const fs::path small = write(one.path(), std::int64_t{1});
  const fs::path model = write(all.path(), kLayers);
  const std::int64_t bytes = file_bytes(model);
  const std::int64_t peak = peak_memory(model);
  ASSERT_GT(bytes, 80'000'000);
  EXPECT_LE(peak, floor + bytes * 115 / 100 + 50'000'000)
      << "libtorch alone: " << floor << ", file: " << bytes;
  // Without the 50 MB: what nine more layers take.
  const std::int64_t more = bytes - file_bytes(small);
  const std::int64_t taken = peak - peak_memory(small);
  EXPECT_LE(taken, more * 115 / 100) << more << " bytes of the file";
  // The weights are in memory: it is their peak that was read.
  EXPECT_GE(taken, more * 9 / 10);
}

TEST(LoadingMemory, OfPackQuantizedIsTheFileOnce) {
  expect_loaded_once(write_pack_quantized);
}

TEST(LoadingMemory, OfGgufIsTheFileOnce) {
  expect_loaded_once([](const fs::path& directory, std::int64_t layers) {
    return write_gguf(directory, layers, kQ4_0, kQ4_0);
  });
}

TEST(LoadingMemory, OfKQuantsIsTheFileOnce) {
  expect_loaded_once([](const fs::path& directory, std::int64_t layers) {
    return write_gguf(directory, layers, kQ4_K, kQ6_K);
  });
}

}  // namespace
}  // namespace mantissa
