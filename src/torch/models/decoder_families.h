#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace mantissa {

/// Whether projections carry a bias.
enum class BiasRule : std::uint8_t { Never, Always, ByKey };

/// Which layers see a window of the context only.
enum class WindowRule : std::uint8_t {
  None,
  Every,        ///< all layers where sliding_window is set
  EveryIfUsed,  ///< the same, where use_sliding_window is true
  FromLayer,    ///< use_sliding_window, layers max_window_layers and later
  Alternate,    ///< layers 0, 2, 4, ...
  FiveOfSix,    ///< all but every sixth
};

/// Which keys describe a mixture of experts.
enum class ExpertsRule : std::uint8_t { None, Mixtral, Qwen };

/// One family of decoders: what differs from Llama, and the defaults that its
/// Transformers class has for absent keys.
struct DecoderFamily {
  std::string_view model_type;
  std::int64_t kv_heads = 0;  ///< 0: as many as heads
  std::int64_t head_dim = 0;  ///< 0: hidden / heads
  std::int64_t positions = 0;
  std::int64_t window = 0;  ///< 0: none
  double theta = 1e4;
  double eps = 1e-6;
  BiasRule qkv_bias = BiasRule::ByKey;
  BiasRule output_bias = BiasRule::ByKey;
  BiasRule mlp_bias = BiasRule::Never;
  bool qk_norm = false;
  WindowRule windows = WindowRule::None;
  ExpertsRule experts = ExpertsRule::None;
  bool gemma = false;  ///< 1 + weight norms, scaled embeddings, gelu tanh
  const char* activation_key = "hidden_act";
  bool feedforward_norms = false;
  double query_pre_attn_scalar = 0;  ///< 0: head_dim scales the scores
  double attention_cap = 0;          ///< 0: the key has no meaning
  double final_cap = 0;              ///< default of final_logit_softcapping
  bool final_cap_key = false;
  bool rope_by_layer = false;
};

/// The table: one row a family.
std::span<const DecoderFamily> decoder_family_rows();

}  // namespace mantissa
