#include "checkpoint/gguf_model_keys.h"

#include <algorithm>
#include <cmath>
#include <string_view>

#include <fmt/format.h>

#include <mantissa/core/error.h>

#include "core/quoted.h"

namespace mantissa {
namespace {

// No model comes near; products of two of them stay far below 2^63.
constexpr std::int64_t kMaxExtent = std::int64_t{1} << 30;
constexpr std::int64_t kMaxExpertMatrices = std::int64_t{1} << 20;

// Keys under "llama." whose meaning is taken over or checked below. What else
// stands there could change the numbers, so it is refused, not dropped.
constexpr std::string_view kKnownKeys[] = {
    "vocab_size",
    "context_length",
    "embedding_length",
    "block_count",
    "feed_forward_length",
    "use_parallel_residual",
    "tensor_data_layout",
    "expert_count",
    "expert_used_count",
    "attention.head_count",
    "attention.head_count_kv",
    "attention.layer_norm_rms_epsilon",
    "attention.key_length",
    "attention.value_length",
    "attention.causal",
    "attention.sliding_window",
    "rope.dimension_count",
    "rope.freq_base",
    "rope.scale_linear",
};

[[noreturn]] void fail(ErrorKind kind,
                       std::string_view key,
                       const std::string& what) {
  throw Error(kind, fmt::format("GGUF key {}: {}", quoted_name(key), what));
}

std::int64_t extent(const GgufMetadata& metadata, std::string_view key) {
  const auto value = metadata.integer(key);
  if (!value) fail(ErrorKind::Input, key, "missing");
  if (*value < 1 || *value > kMaxExtent) {
    fail(ErrorKind::Input,
         key,
         fmt::format("expected 1 to {}, found {}", kMaxExtent, *value));
  }
  return *value;
}

void check_architecture(const GgufMetadata& metadata) {
  constexpr std::string_view kKey = "general.architecture";
  const std::string* architecture = metadata.string(kKey);
  if (architecture == nullptr) fail(ErrorKind::Input, kKey, "missing");
  if (*architecture != "llama") {
    fail(ErrorKind::Usage,
         kKey,
         fmt::format("{} is not supported; this version converts: llama "
                     "(dense or with experts)",
                     quoted_name(*architecture)));
  }
}

void read_experts(const GgufMetadata& metadata, GgufModelShape& shape) {
  constexpr std::string_view kCount = "llama.expert_count";
  constexpr std::string_view kUsed = "llama.expert_used_count";
  if (metadata.integer(kCount).value_or(0) == 0) return;
  shape.experts = extent(metadata, kCount);
  shape.experts_used = extent(metadata, kUsed);
  // Each has three matrices a layer, as many names as a file may have tensors.
  if (shape.experts > kMaxExpertMatrices / 3 / shape.layers) {
    fail(ErrorKind::Input,
         kCount,
         fmt::format("{} experts in {} layers are more than {} matrices",
                     shape.experts,
                     shape.layers,
                     kMaxExpertMatrices));
  }
  if (shape.experts_used > shape.experts) {
    fail(ErrorKind::Input,
         kUsed,
         fmt::format("{} of {} experts", shape.experts_used, shape.experts));
  }
}

void check_known_keys(const GgufMetadata& metadata) {
  constexpr std::string_view kPrefix = "llama.";
  for (const GgufMetadata::Pair& pair : metadata.pairs()) {
    if (!pair.key.starts_with(kPrefix)) continue;
    const std::string_view name =
        std::string_view(pair.key).substr(kPrefix.size());
    const bool scaling = name.starts_with("rope.scaling.");  // read_rope()
    if (!scaling &&
        std::find(std::begin(kKnownKeys), std::end(kKnownKeys), name) ==
            std::end(kKnownKeys)) {
      fail(ErrorKind::Usage,
           pair.key,
           "not understood; a model that needs it is not converted");
    }
  }
}

// Keys that only have one acceptable value.
void check_variants(const GgufMetadata& metadata, const GgufModelShape& shape) {
  if (metadata.boolean("llama.use_parallel_residual").value_or(false)) {
    fail(ErrorKind::Usage,
         "llama.use_parallel_residual",
         "true; parallel residuals are not converted");
  }
  if (!metadata.boolean("llama.attention.causal").value_or(true)) {
    fail(ErrorKind::Usage,
         "llama.attention.causal",
         "false; only causal models are converted");
  }
  const auto window =
      metadata.integer("llama.attention.sliding_window").value_or(0);
  if (window > 0 && window < shape.positions) {
    fail(ErrorKind::Usage,
         "llama.attention.sliding_window",
         fmt::format("{}; sliding attention is not converted", window));
  }
  const std::string* layout = metadata.string("llama.tensor_data_layout");
  if (layout != nullptr && *layout != "Meta AI original pth") {
    fail(ErrorKind::Usage,
         "llama.tensor_data_layout",
         fmt::format("{}; expected \"Meta AI original pth\"",
                     quoted_name(*layout)));
  }
}

// Partial rotary embeddings and heads of different widths are refused.
std::int64_t read_head_dim(const GgufMetadata& metadata,
                           const GgufModelShape& shape) {
  const auto key = metadata.integer("llama.attention.key_length");
  const auto value = metadata.integer("llama.attention.value_length");
  const auto rope = metadata.integer("llama.rope.dimension_count");
  const std::int64_t dim = key    ? *key
                           : rope ? *rope
                                  : shape.hidden / shape.heads;
  if (dim < 2 || dim % 2 != 0 || dim > kMaxExtent) {
    fail(ErrorKind::Input,
         "llama.attention.key_length",
         fmt::format("expected an even head size, found {}", dim));
  }
  if (rope && *rope != dim) {
    fail(ErrorKind::Usage,
         "llama.rope.dimension_count",
         fmt::format("{} of {}: partial rotary embeddings are not converted",
                     *rope,
                     dim));
  }
  // Without the key, values are as wide as hidden / heads says.
  const std::int64_t value_dim = value.value_or(dim);
  if (value_dim != dim) {
    fail(ErrorKind::Usage,
         "llama.attention.value_length",
         fmt::format("{}: expected the key's {}", value_dim, dim));
  }
  return dim;
}

}  // namespace

GgufModelShape read_gguf_model_keys(const GgufMetadata& metadata) {
  check_architecture(metadata);
  check_known_keys(metadata);
  GgufModelShape shape;
  shape.layers = extent(metadata, "llama.block_count");
  shape.hidden = extent(metadata, "llama.embedding_length");
  shape.intermediate = extent(metadata, "llama.feed_forward_length");
  shape.positions = extent(metadata, "llama.context_length");
  shape.heads = extent(metadata, "llama.attention.head_count");
  shape.kv_heads = metadata.find("llama.attention.head_count_kv") == nullptr
                       ? shape.heads
                       : extent(metadata, "llama.attention.head_count_kv");
  if (shape.heads % shape.kv_heads != 0) {
    fail(ErrorKind::Input,
         "llama.attention.head_count_kv",
         fmt::format(
             "{} does not divide the {} heads", shape.kv_heads, shape.heads));
  }
  shape.head_dim = read_head_dim(metadata, shape);
  read_experts(metadata, shape);
  constexpr std::string_view kEps = "llama.attention.layer_norm_rms_epsilon";
  const auto eps = metadata.number(kEps);
  if (!eps) fail(ErrorKind::Input, kEps, "missing");
  if (!std::isfinite(*eps) || *eps < 0) {
    fail(ErrorKind::Input, kEps, fmt::format("found {}", *eps));
  }
  shape.rms_norm_eps = *eps;
  shape.rope = read_rope(metadata);
  check_variants(metadata, shape);
  return shape;
}

}  // namespace mantissa
