#include "support/large_checkpoint.h"

#include <cstdint>
#include <fstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

namespace mantissa::support {
namespace {

// Not ordered_json: that one looks each new key up from the start.
using Json = nlohmann::json;

constexpr int kWidth = 32;     // hidden, intermediate and vocabulary size
constexpr int kExperts = 128;  // of a layer

struct Named {
  std::string name;
  std::vector<int> shape;
};

void add_linear(std::vector<Named>& out, std::string name) {
  out.push_back({std::move(name) + ".weight", {kWidth, kWidth}});
}

void add_layer(std::vector<Named>& out, LargeKind kind, std::size_t layer) {
  const std::string at = "model.layers." + std::to_string(layer) + ".";
  const auto norm = [&](const char* name) {
    out.push_back({at + name + ".weight", {kWidth}});
  };
  norm("input_layernorm");
  norm("post_attention_layernorm");
  for (const char* name : {"q_proj", "k_proj", "v_proj", "o_proj"}) {
    add_linear(out, at + "self_attn." + name);
  }
  const auto add_mlp = [&](const std::string& mlp) {
    for (const char* name : {"gate_proj", "up_proj", "down_proj"}) {
      add_linear(out, mlp + name);
    }
  };
  if (kind == LargeKind::Dense) {
    add_mlp(at + "mlp.");
    return;
  }
  norm("self_attn.q_norm");
  norm("self_attn.k_norm");
  out.push_back({at + "mlp.gate.weight", {kExperts, kWidth}});
  for (int e = 0; e < kExperts; ++e) {
    add_mlp(at + "mlp.experts." + std::to_string(e) + ".");
  }
}

Json config_json(LargeKind kind, std::size_t layers) {
  const bool dense = kind == LargeKind::Dense;
  Json config = {
      {"architectures", {dense ? "LlamaForCausalLM" : "Qwen3MoeForCausalLM"}},
      {"model_type", dense ? "llama" : "qwen3_moe"},
      {"hidden_size", kWidth},
      {"intermediate_size", kWidth},
      {"num_hidden_layers", layers},
      {"num_attention_heads", 1},
      {"num_key_value_heads", 1},
      {"head_dim", kWidth},
      {"vocab_size", kWidth},
      {"tie_word_embeddings", false},
      {"dtype", "bfloat16"},
  };
  if (!dense) {
    config["num_experts"] = kExperts;
    config["moe_intermediate_size"] = kWidth;
  }
  return config;
}

void write_text(const std::filesystem::path& path, std::string_view text) {
  std::ofstream file(path, std::ios::binary);
  file << text;
  if (!file) throw std::runtime_error("cannot write " + path.string());
}

// Returns the bytes of tensor data; the file is grown, not written.
std::uint64_t write_shard(const std::filesystem::path& path,
                          const std::vector<Named>& tensors,
                          std::size_t begin,
                          std::size_t end) {
  Json header = {{"__metadata__", {{"format", "pt"}}}};
  std::uint64_t offset = 0;
  for (std::size_t i = begin; i < end; ++i) {
    std::uint64_t bytes = 2;
    for (const int extent : tensors[i].shape) bytes *= extent;
    header[tensors[i].name] = {{"dtype", "BF16"},
                               {"shape", tensors[i].shape},
                               {"data_offsets", {offset, offset + bytes}}};
    offset += bytes;
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  const std::uint64_t size = text.size();
  std::string head(reinterpret_cast<const char*>(&size), sizeof(size));
  write_text(path, head + text);
  std::filesystem::resize_file(path, sizeof(size) + size + offset);
  return offset;
}

std::string shard_name(std::size_t shard, std::size_t shards) {
  const auto padded = [](std::size_t number) {
    const std::string digits = std::to_string(number);
    return std::string(5 - digits.size(), '0') + digits;
  };
  return "model-" + padded(shard + 1) + "-of-" + padded(shards) +
         ".safetensors";
}

}  // namespace

std::size_t write_large_checkpoint(const std::filesystem::path& directory,
                                   const LargeCheckpoint& what) {
  std::vector<Named> tensors;
  add_linear(tensors, "model.embed_tokens");
  add_linear(tensors, "lm_head");
  tensors.push_back({"model.norm.weight", {kWidth}});
  std::size_t layers = 0;
  while (tensors.size() < what.tensors) {
    add_layer(tensors, what.kind, layers++);
  }

  Json map = Json::object();
  std::uint64_t total = 0;
  for (std::size_t s = 0; s < what.shards; ++s) {
    const std::string name = shard_name(s, what.shards);
    const std::size_t begin = tensors.size() * s / what.shards;
    const std::size_t end = tensors.size() * (s + 1) / what.shards;
    total += write_shard(directory / name, tensors, begin, end);
    for (std::size_t i = begin; i < end; ++i) map[tensors[i].name] = name;
  }
  const Json index = {{"metadata", {{"total_size", total}}},
                      {"weight_map", map}};
  write_text(directory / "model.safetensors.index.json", index.dump());
  write_text(directory / "config.json", config_json(what.kind, layers).dump(2));
  return tensors.size();
}

}  // namespace mantissa::support
