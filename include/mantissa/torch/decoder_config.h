#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <mantissa/core/api.h>

namespace mantissa {

/// How rotary frequencies are stretched beyond the trained context.
enum class RopeType {
  Default,
  Linear,  ///< all frequencies divided by the factor
  Llama3,  ///< low frequencies divided, a smooth step between
  Yarn,  ///< a ramp over the dimensions (arXiv:2309.00071), cos and sin scaled
};

/// One set of rotary position parameters, defaults resolved.
struct RopeConfig {
  RopeType type = RopeType::Default;
  double theta = 10000;
  double factor = 1;
  double original_positions = 0;  ///< of Llama3 and Yarn: the trained context
  double low_freq_factor = 1;     ///< Llama3
  double high_freq_factor = 4;    ///< Llama3
  std::optional<double> attention_factor = {};  ///< Yarn
  double mscale = 0;                            ///< Yarn, 0: none
  double mscale_all_dim = 0;                    ///< Yarn, 0: none
  double beta_fast = 32;                        ///< Yarn
  double beta_slow = 1;                         ///< Yarn
  bool truncate = true;                         ///< Yarn
};

/// The activation of a feed-forward block.
enum class Activation { Silu, Gelu, GeluTanh };

/// A mixture of experts in place of a feed-forward block.
struct ExpertsConfig {
  std::int64_t experts = 0;  ///< 0: the model has none
  std::int64_t experts_per_token = 0;
  std::int64_t intermediate = 0;
  bool normalize = true;  ///< weights of the chosen experts sum to 1
};

/// What differs between the layers of one model.
struct LayerConfig {
  std::int64_t window = 0;  ///< key j is seen from i if i - window < j; 0: all
  std::size_t rope = 0;     ///< index in DecoderConfig::ropes
  bool experts = false;
};

/// A decoder-only language model as its config.json describes it, the class
/// defaults of Transformers resolved.
struct DecoderConfig {
  std::string model_type;    ///< "llama"
  std::string architecture;  ///< "LlamaForCausalLM"
  std::int64_t vocabulary = 0;
  std::int64_t hidden = 0;
  std::int64_t intermediate = 0;
  std::int64_t heads = 0;
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 0;
  std::int64_t positions = 0;  ///< max_position_embeddings: the trained context
  double norm_eps = 1e-6;
  double attention_scale = 1;
  double attention_cap = 0;    ///< tanh(scores / cap) * cap; 0: none
  double final_cap = 0;        ///< the same for logits
  double embedding_scale = 1;  ///< rounded to the dtype of the embeddings
  Activation activation = Activation::Silu;
  bool tied = false;               ///< lm_head is the embedding
  bool one_plus_norm = false;      ///< norms multiply by 1 + weight, in float32
  bool feedforward_norms = false;  ///< four norms a layer, as Gemma 2
  bool qk_norm = false;            ///< of every head, before RoPE
  bool qkv_bias = false;
  bool output_bias = false;
  bool mlp_bias = false;
  ExpertsConfig experts = {};
  std::vector<RopeConfig> ropes = {};
  std::vector<LayerConfig> layers = {};
};

/// Reads a config.json of one of the families that decoder_families() lists,
/// in the spelling of Transformers 4 or 5. Throws Error(Usage), naming what is
/// supported, for another model_type, class, activation or kind of RoPE;
/// Error(Input) for a missing or malformed key.
MANTISSA_API DecoderConfig read_decoder_config(std::string_view config_json);

/// The model_types that run: "llama", "qwen2", ...
MANTISSA_API std::vector<std::string> decoder_families();

}  // namespace mantissa
