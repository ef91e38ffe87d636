#include "checkpoint/gguf_model.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <span>
#include <string_view>
#include <unordered_set>

#include <fmt/format.h>

#include <mantissa/core/error.h>
#include <mantissa/core/tensor_view.h>

#include "checkpoint/gguf_model_keys.h"
#include "core/quoted.h"

namespace mantissa {
namespace {

enum class Extent { Hidden, Queries, Keys, Intermediate, Vocabulary, Experts };
enum class Bias { None, Attention, Mlp };

struct TensorRow {
  std::string_view stored;  // without ".weight" and the layer
  std::string_view name;
  Extent rows;
  Extent columns;  // rows again: a vector
  Bias bias = Bias::None;
  bool interleaved = false;
  // A matrix an expert, which `name` stands behind: how a file spells those
  // that it stores one by one, with ".E" behind.
  std::string_view one_expert = {};
};

constexpr TensorRow kModelRows[] = {
    {"token_embd", "model.embed_tokens", Extent::Vocabulary, Extent::Hidden},
    {"output_norm", "model.norm", Extent::Hidden, Extent::Hidden},
    {"output", "lm_head", Extent::Vocabulary, Extent::Hidden},
};

constexpr std::string_view kNorms[] = {"output_norm", "attn_norm", "ffn_norm"};

constexpr TensorRow kAttentionRows[] = {
    {"attn_norm", "input_layernorm", Extent::Hidden, Extent::Hidden},
    {"ffn_norm", "post_attention_layernorm", Extent::Hidden, Extent::Hidden},
    {"attn_q",
     "self_attn.q_proj",
     Extent::Queries,
     Extent::Hidden,
     Bias::Attention,
     true},
    {"attn_k",
     "self_attn.k_proj",
     Extent::Keys,
     Extent::Hidden,
     Bias::Attention,
     true},
    {"attn_v",
     "self_attn.v_proj",
     Extent::Keys,
     Extent::Hidden,
     Bias::Attention},
    {"attn_output",
     "self_attn.o_proj",
     Extent::Hidden,
     Extent::Queries,
     Bias::Attention},
};

constexpr TensorRow kDenseRows[] = {
    {"ffn_gate",
     "mlp.gate_proj",
     Extent::Intermediate,
     Extent::Hidden,
     Bias::Mlp},
    {"ffn_up", "mlp.up_proj", Extent::Intermediate, Extent::Hidden, Bias::Mlp},
    {"ffn_down",
     "mlp.down_proj",
     Extent::Hidden,
     Extent::Intermediate,
     Bias::Mlp},
};

constexpr TensorRow kExpertRows[] = {
    {"ffn_gate_inp", "block_sparse_moe.gate", Extent::Experts, Extent::Hidden},
    {"ffn_gate_exps",
     "w1",
     Extent::Intermediate,
     Extent::Hidden,
     Bias::None,
     false,
     "ffn_gate"},
    {"ffn_up_exps",
     "w3",
     Extent::Intermediate,
     Extent::Hidden,
     Bias::None,
     false,
     "ffn_up"},
    {"ffn_down_exps",
     "w2",
     Extent::Hidden,
     Extent::Intermediate,
     Bias::None,
     false,
     "ffn_down"},
};

std::span<const TensorRow> feed_forward_rows(const GgufModelShape& shape) {
  return shape.experts > 0 ? std::span<const TensorRow>(kExpertRows)
                           : std::span<const TensorRow>(kDenseRows);
}

bool is_norm(const TensorRow& row) {
  return std::find(std::begin(kNorms), std::end(kNorms), row.stored) !=
         std::end(kNorms);
}

std::int64_t extent_of(const GgufModelShape& shape, Extent extent) {
  switch (extent) {
    case Extent::Hidden:
      return shape.hidden;
    case Extent::Queries:
      return shape.heads * shape.head_dim;
    case Extent::Keys:
      return shape.kv_heads * shape.head_dim;
    case Extent::Intermediate:
      return shape.intermediate;
    case Extent::Vocabulary:
      return shape.vocabulary;
    case Extent::Experts:
      return shape.experts;
  }
  return 0;
}

[[noreturn]] void fail(ErrorKind kind,
                       std::string_view tensor,
                       const std::string& what) {
  throw Error(kind,
              fmt::format("GGUF tensor {}: {}", quoted_name(tensor), what));
}

// "blk.12.ffn_up.3.weight" in parts; layer -1 outside the layers, expert -1
// without such a number.
struct StoredName {
  std::int64_t layer = -1;
  std::int64_t expert = -1;
  std::string_view leaf;    // "ffn_up"
  std::string_view suffix;  // "weight"
};

// A number as files spell it; -1 for anything else.
std::int64_t parse_index(std::string_view text) {
  std::int64_t value = -1;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  const bool padded = text.size() > 1 && text.front() == '0';
  return error != std::errc() || stop != end || padded || value < 0 ? -1
                                                                    : value;
}

StoredName split_name(std::string_view name) {
  StoredName parts;
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

const TensorRow* find_row(std::span<const TensorRow> rows,
                          std::string_view leaf) {
  const auto row = std::ranges::find(rows, leaf, &TensorRow::stored);
  return row == rows.end() ? nullptr : &*row;
}

const TensorRow* find_row(const GgufModelShape& shape,
                          const StoredName& parts) {
  if (parts.expert >= 0) {
    if (parts.layer < 0 || parts.expert >= shape.experts) return nullptr;
    const auto row =
        std::ranges::find(kExpertRows, parts.leaf, &TensorRow::one_expert);
    return row == std::end(kExpertRows) ? nullptr : &*row;
  }
  if (parts.layer < 0) return find_row(kModelRows, parts.leaf);
  const TensorRow* row = find_row(kAttentionRows, parts.leaf);
  return row != nullptr ? row : find_row(feed_forward_rows(shape), parts.leaf);
}

void check_shape(const GgufModelShape& shape,
                 const TensorRow& row,
                 const GgufTensor& tensor,
                 Bias bias,
                 bool all_experts) {
  const std::int64_t rows = extent_of(shape, row.rows);
  Shape expected = bias != Bias::None || is_norm(row)
                       ? Shape{rows}
                       : Shape{rows, extent_of(shape, row.columns)};
  if (all_experts) expected.insert(expected.begin(), shape.experts);
  if (tensor.shape != expected) {
    fail(ErrorKind::Input,
         tensor.name,
         fmt::format("shape: expected {}, found {}",
                     to_string(expected),
                     to_string(tensor.shape)));
  }
}

// As Mixtral names it.
std::string expert_name(const TensorRow& row,
                        std::int64_t layer,
                        std::int64_t expert) {
  return fmt::format("model.layers.{}.block_sparse_moe.experts.{}.{}.weight",
                     layer,
                     expert,
                     row.name);
}

// The matrices of the experts of a layer.
void map_experts(const TensorRow& row,
                 const GgufTensor& tensor,
                 std::int64_t layer,
                 const GgufModelTensor& whole,
                 std::vector<GgufModelTensor>& out) {
  const Shape matrix(tensor.shape.begin() + 1, tensor.shape.end());
  for (std::int64_t e = 0; e < tensor.shape[0]; ++e) {
    GgufModelTensor one = whole;
    one.name = expert_name(row, layer, e);
    one.shape = matrix;
    one.first_row = e * matrix[0];
    out.push_back(std::move(one));
  }
}

void map_tensor(const GgufTensor& tensor,
                std::size_t source,
                GgufModelShape& shape,
                std::vector<GgufModelTensor>& out) {
  const StoredName parts = split_name(tensor.name);
  const TensorRow* row = find_row(shape, parts);
  const bool biased = row != nullptr && parts.suffix == "bias";
  if (row == nullptr || parts.layer >= shape.layers ||
      (parts.suffix != "weight" && !(biased && row->bias != Bias::None))) {
    fail(ErrorKind::Usage,
         tensor.name,
         shape.experts > 0
             ? "no tensor of a llama model with experts that this version "
               "converts"
             : "no tensor of a dense llama model that this version converts");
  }
  const Bias bias = biased ? row->bias : Bias::None;
  const bool all_experts = !row->one_expert.empty() && parts.expert < 0;
  check_shape(shape, *row, tensor, bias, all_experts);
  if (row->interleaved && biased && is_quantized(*tensor.type)) {
    fail(ErrorKind::Usage, tensor.name, "a quantized bias is not converted");
  }
  if (bias == Bias::Attention) shape.attention_bias = true;
  if (bias == Bias::Mlp) shape.mlp_bias = true;
  const std::string layer =
      parts.layer < 0 ? "" : fmt::format("model.layers.{}.", parts.layer);
  GgufModelTensor mapped{
      .source = source,
      .name = fmt::format("{}{}.{}", layer, row->name, parts.suffix),
      .shape = tensor.shape};
  if (row->interleaved) mapped.interleaved = shape.head_dim;
  if (all_experts) return map_experts(*row, tensor, parts.layer, mapped, out);
  if (parts.expert >= 0) {
    mapped.name = expert_name(*row, parts.layer, parts.expert);
  }
  out.push_back(std::move(mapped));
}

void require(const std::unordered_set<std::string_view>& names,
             const std::string& name) {
  if (!names.contains(name)) fail(ErrorKind::Input, name, "missing");
}

void require_row(const std::unordered_set<std::string_view>& names,
                 const std::string& stem,
                 const TensorRow& row,
                 const GgufModelShape& shape) {
  require(names, stem + ".weight");
  const bool biased = (row.bias == Bias::Attention && shape.attention_bias) ||
                      (row.bias == Bias::Mlp && shape.mlp_bias);
  // Transformers' Llama has a bias on all of them or on none.
  if (biased && !names.contains(stem + ".bias")) {
    fail(ErrorKind::Usage,
         stem + ".bias",
         "missing, while others of its kind have a bias; such models are "
         "not converted");
  }
}

// All experts of a layer in one tensor, or each in its own.
void require_experts(const std::unordered_set<std::string_view>& names,
                     std::int64_t layer,
                     const TensorRow& row,
                     std::int64_t experts) {
  const auto all = fmt::format("blk.{}.{}.weight", layer, row.stored);
  const bool fused = names.contains(all);
  std::optional<std::string> missing;
  bool any = false;
  for (std::int64_t e = 0; e < experts; ++e) {
    const auto one =
        fmt::format("blk.{}.{}.{}.weight", layer, row.one_expert, e);
    const bool there = names.contains(one);
    if (there && fused) {
      fail(ErrorKind::Input,
           one,
           fmt::format("{} holds this expert too", quoted_name(all)));
    }
    any = any || there;
    if (!there && !missing) missing = one;
  }
  if (!fused && missing) {
    fail(ErrorKind::Input, any ? *missing : all, "missing");
  }
}

void require_all(const GgufFile& file, const GgufModelShape& shape) {
  std::unordered_set<std::string_view> names;
  for (const GgufTensor& tensor : file.tensors()) names.insert(tensor.name);
  require(names, "token_embd.weight");
  require(names, "output_norm.weight");
  for (std::int64_t layer = 0; layer < shape.layers; ++layer) {
    for (const auto rows : {std::span<const TensorRow>(kAttentionRows),
                            feed_forward_rows(shape)}) {
      for (const TensorRow& row : rows) {
        if (!row.one_expert.empty()) {
          require_experts(names, layer, row, shape.experts);
          continue;
        }
        require_row(
            names, fmt::format("blk.{}.{}", layer, row.stored), row, shape);
      }
    }
  }
}

std::vector<float> read_floats(const GgufFile& file, const GgufTensor& tensor) {
  std::vector<std::byte> raw(static_cast<std::size_t>(tensor.bytes));
  file.read(tensor, 0, raw);
  const std::int64_t blocks = tensor.bytes / tensor.type->block_bytes;
  std::vector<float> values(
      static_cast<std::size_t>(blocks * tensor.type->block_size));
  tensor.type->decode(raw.data(), blocks, values.data());
  return values;
}

}  // namespace

GgufModel read_gguf_model(const GgufFile& file) {
  GgufModel model;
  model.shape = read_gguf_model_keys(file.metadata());
  GgufModelShape& shape = model.shape;
  const auto& tensors = file.tensors();
  // So that a loop over a claimed number of layers is bounded by the file.
  if (shape.layers > static_cast<std::int64_t>(tensors.size())) {
    throw Error(ErrorKind::Input,
                fmt::format("GGUF key \"llama.block_count\": {} layers, the "
                            "file has {} tensors",
                            shape.layers,
                            tensors.size()));
  }
  for (const GgufTensor& tensor : tensors) {
    if (tensor.name == "token_embd.weight" && tensor.shape.size() == 2) {
      shape.vocabulary = tensor.shape[0];
    }
    if (tensor.name == "output.weight") shape.tied = false;
  }
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    if (tensors[i].name == "rope_freqs.weight") {
      if (tensors[i].shape.size() != 1) {
        fail(ErrorKind::Input, tensors[i].name, "expected one dimension");
      }
      apply_rope_factors(
          read_floats(file, tensors[i]), shape.head_dim, shape.rope);
    } else {
      map_tensor(tensors[i], i, shape, model.tensors);
    }
  }
  require_all(file, shape);
  if (shape.experts > 0 && shape.attention_bias) {
    throw Error(ErrorKind::Usage,
                "GGUF: biases of attention beside experts, which Mixtral does "
                "not have; such models are not converted");
  }
  const auto claimed = file.metadata().integer("llama.vocab_size");
  if (claimed && *claimed != shape.vocabulary) {
    throw Error(ErrorKind::Input,
                fmt::format("GGUF key \"llama.vocab_size\": expected {} (rows "
                            "of token_embd.weight), found {}",
                            shape.vocabulary,
                            *claimed));
  }
  return model;
}

}  // namespace mantissa
