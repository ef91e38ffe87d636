#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace mantissa {

/// What general.architecture of a file that is converted says.
enum class GgufArchitecture : std::uint8_t { Llama, Qwen3Moe };

/// A size of a model; None as columns makes a vector of the rows.
enum class GgufExtent {
  None,
  Hidden,
  Head,
  Queries,
  Keys,
  Intermediate,
  OneExpert,  ///< width of an expert
  Vocabulary,
  Experts
};

/// Which biases a model has or lacks together.
enum class GgufBias { None, Attention, Mlp };

/// A tensor of a model: what GGUF calls it, what Hugging Face does, its shape.
struct GgufTensorRow {
  std::string_view stored;  ///< without ".weight" and the layer: "attn_q"
  std::string_view name;    ///< "self_attn.q_proj"
  GgufExtent rows;
  GgufExtent columns = GgufExtent::None;
  GgufBias bias = GgufBias::None;  ///< one that it may have
  bool interleaved = false;        ///< rows of a head, as llama.cpp turns them
  /// A matrix an expert, which `name` stands behind: how a file spells those
  /// that it stores one by one, with ".E" behind.
  std::string_view one_expert = {};
};

/// All tensors of a kind of model.
struct GgufLayout {
  std::string_view called;   ///< "dense llama model": for messages
  std::string_view experts;  ///< before "E.w1" in a layer; "" in a dense model
  std::span<const GgufTensorRow> model;
  std::span<const GgufTensorRow> attention;
  std::span<const GgufTensorRow> feed_forward;
};

/// "llama", "qwen3moe".
std::string_view name(GgufArchitecture architecture);
/// The architecture of a name; empty for one that is not converted.
std::optional<GgufArchitecture> find_gguf_architecture(std::string_view name);

/// The layout of a model with `experts` in a layer, 0: none.
const GgufLayout& gguf_layout(GgufArchitecture architecture,
                              std::int64_t experts);

/// "blk.12.ffn_up.3.weight" in parts, which lie in the name; an empty `leaf`
/// for what no model has.
struct GgufTensorName {
  std::int64_t layer = -1;   ///< -1 outside the layers
  std::int64_t expert = -1;  ///< -1 without such a number
  std::string_view leaf;     ///< "ffn_up"
  std::string_view suffix;   ///< "weight"
};

/// Splits a name. Never throws.
GgufTensorName split_gguf_name(std::string_view name);

/// The row of a name in a layout; null when there is none.
const GgufTensorRow* find_gguf_row(const GgufLayout& layout,
                                   const GgufTensorName& parts);

}  // namespace mantissa
