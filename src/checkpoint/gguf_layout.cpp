#include "checkpoint/gguf_layout.h"

#include <algorithm>
#include <charconv>
#include <iterator>

namespace mantissa {
namespace {

using enum GgufExtent;
using Row = GgufTensorRow;

constexpr Row kModel[] = {
    {"token_embd", "model.embed_tokens", Vocabulary, Hidden},
    {"output_norm", "model.norm", Hidden},
    {"output", "lm_head", Vocabulary, Hidden},
};

constexpr GgufBias kAttention = GgufBias::Attention;
constexpr Row kLlamaAttention[] = {
    {"attn_norm", "input_layernorm", Hidden},
    {"ffn_norm", "post_attention_layernorm", Hidden},
    {"attn_q", "self_attn.q_proj", Queries, Hidden, kAttention, true},
    {"attn_k", "self_attn.k_proj", Keys, Hidden, kAttention, true},
    {"attn_v", "self_attn.v_proj", Keys, Hidden, kAttention},
    {"attn_output", "self_attn.o_proj", Hidden, Queries, kAttention},
};

constexpr GgufBias kMlp = GgufBias::Mlp;
constexpr Row kLlamaMlp[] = {
    {"ffn_gate", "mlp.gate_proj", Intermediate, Hidden, kMlp},
    {"ffn_up", "mlp.up_proj", Intermediate, Hidden, kMlp},
    {"ffn_down", "mlp.down_proj", Hidden, Intermediate, kMlp},
};

constexpr Row expert(std::string_view stored,
                     std::string_view name,
                     GgufExtent rows,
                     GgufExtent columns,
                     std::string_view one) {
  return {stored, name, rows, columns, GgufBias::None, false, one};
}

constexpr Row kMixtralExperts[] = {
    {"ffn_gate_inp", "block_sparse_moe.gate", Experts, Hidden},
    expert("ffn_gate_exps", "w1", OneExpert, Hidden, "ffn_gate"),
    expert("ffn_up_exps", "w3", OneExpert, Hidden, "ffn_up"),
    expert("ffn_down_exps", "w2", Hidden, OneExpert, "ffn_down"),
};

// Heads are turned as Hugging Face's: no row moves.
constexpr Row kQwenAttention[] = {
    {"attn_norm", "input_layernorm", Hidden},
    {"ffn_norm", "post_attention_layernorm", Hidden},
    {"attn_q", "self_attn.q_proj", Queries, Hidden},
    {"attn_k", "self_attn.k_proj", Keys, Hidden},
    {"attn_v", "self_attn.v_proj", Keys, Hidden},
    {"attn_output", "self_attn.o_proj", Hidden, Queries},
    {"attn_q_norm", "self_attn.q_norm", Head},
    {"attn_k_norm", "self_attn.k_norm", Head},
};
constexpr Row kQwenExperts[] = {
    {"ffn_gate_inp", "mlp.gate", Experts, Hidden},
    expert("ffn_gate_exps", "gate_proj", OneExpert, Hidden, "ffn_gate"),
    expert("ffn_up_exps", "up_proj", OneExpert, Hidden, "ffn_up"),
    expert("ffn_down_exps", "down_proj", Hidden, OneExpert, "ffn_down"),
};

constexpr GgufLayout kLlama{
    "dense llama model", "", kModel, kLlamaAttention, kLlamaMlp};
constexpr GgufLayout kMixtral{"llama model with experts",
                              "block_sparse_moe.experts.",
                              kModel,
                              kLlamaAttention,
                              kMixtralExperts};
constexpr GgufLayout kQwen3Moe{
    "qwen3moe model", "mlp.experts.", kModel, kQwenAttention, kQwenExperts};

constexpr std::string_view kNames[] = {"llama", "qwen3moe"};

// A number as files spell it; -1 for anything else.
std::int64_t parse_index(std::string_view text) {
  std::int64_t value = -1;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  const bool padded = text.size() > 1 && text.front() == '0';
  const bool one_way = !padded && !text.starts_with('-');
  return error == std::errc() && stop == end && one_way ? value : -1;
}

const Row* find(std::span<const Row> rows,
                std::string_view leaf,
                std::string_view Row::*spelling = &Row::stored) {
  const auto row = std::ranges::find(rows, leaf, spelling);
  return row == rows.end() ? nullptr : &*row;
}

}  // namespace

std::string_view name(GgufArchitecture architecture) {
  return kNames[static_cast<std::size_t>(architecture)];
}

std::optional<GgufArchitecture> find_gguf_architecture(std::string_view name) {
  const auto found = std::ranges::find(kNames, name);
  if (found == std::end(kNames)) return {};
  return static_cast<GgufArchitecture>(found - std::begin(kNames));
}

const GgufLayout& gguf_layout(GgufArchitecture architecture,
                              std::int64_t experts) {
  if (architecture == GgufArchitecture::Qwen3Moe) return kQwen3Moe;
  return experts > 0 ? kMixtral : kLlama;
}

GgufTensorName split_gguf_name(std::string_view name) {
  GgufTensorName parts;
  constexpr std::string_view kLayer = "blk.";
  if (name.starts_with(kLayer)) {
    const std::size_t end = name.find('.', kLayer.size());
    if (end == std::string_view::npos) return {};
    parts.layer = parse_index(name.substr(kLayer.size(), end - kLayer.size()));
    if (parts.layer < 0) return {};
    name.remove_prefix(end + 1);
  }
  const std::size_t dot = name.rfind('.');
  if (dot == std::string_view::npos) return {};
  parts.leaf = name.substr(0, dot);
  parts.suffix = name.substr(dot + 1);
  const std::size_t number = parts.leaf.rfind('.');
  if (number == std::string_view::npos) return parts;
  parts.expert = parse_index(parts.leaf.substr(number + 1));
  if (parts.expert < 0) return {};
  parts.leaf = parts.leaf.substr(0, number);
  return parts;
}

const GgufTensorRow* find_gguf_row(const GgufLayout& layout,
                                   const GgufTensorName& parts) {
  if (parts.leaf.empty()) return nullptr;
  if (parts.layer < 0) {
    return parts.expert < 0 ? find(layout.model, parts.leaf) : nullptr;
  }
  if (parts.expert >= 0) {
    return find(layout.feed_forward, parts.leaf, &Row::one_expert);
  }
  const Row* row = find(layout.attention, parts.leaf);
  return row != nullptr ? row : find(layout.feed_forward, parts.leaf);
}

}  // namespace mantissa
