#include "checkpoint/gguf_model_keys.h"

#include <algorithm>
#include <string_view>

#include <fmt/format.h>

#include <mantissa/core/error.h>

#include "checkpoint/gguf_keys.h"
#include "checkpoint/model_bounds.h"
#include "core/quoted.h"

namespace mantissa {
namespace {

constexpr std::int64_t kMaxExpertMatrices = std::int64_t{1} << 20;
constexpr std::int64_t kSoftmax = 1;  // of expert_gating_func

// Keys of an architecture whose meaning is taken over or checked below. What
// else stands there could change the numbers, so it is refused, not dropped.
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
    "expert_feed_forward_length",
    "expert_weights_norm",
    "expert_gating_func",
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
                       const std::string& key,
                       const std::string& what) {
  throw Error(kind, fmt::format("GGUF key {}: {}", quoted_name(key), what));
}

// In [1, most]: what config.json may say too.
std::int64_t extent(const GgufKeys& keys,
                    std::string_view key,
                    std::int64_t most) {
  const auto value = keys.integer(key);
  if (!value) fail(ErrorKind::Input, keys.spelled(key), "missing");
  if (*value < 1 || *value > most) {
    fail(ErrorKind::Input,
         keys.spelled(key),
         fmt::format("expected 1 to {}, found {}", most, *value));
  }
  return *value;
}

GgufArchitecture read_architecture(const GgufMetadata& metadata) {
  constexpr std::string_view kKey = "general.architecture";
  const std::string* architecture = metadata.string(kKey);
  if (architecture == nullptr) {
    fail(ErrorKind::Input, std::string(kKey), "missing");
  }
  const auto found = find_gguf_architecture(*architecture);
  if (found) return *found;
  fail(ErrorKind::Usage,
       std::string(kKey),
       fmt::format("{} is not supported; this version converts: llama "
                   "(dense or with experts), qwen3moe",
                   quoted_name(*architecture)));
}

void read_experts(const GgufKeys& keys, GgufModelShape& shape) {
  constexpr std::string_view kCount = "expert_count";
  constexpr std::string_view kUsed = "expert_used_count";
  const bool optional = shape.architecture == GgufArchitecture::Llama;
  if (optional && keys.integer(kCount).value_or(0) == 0) return;
  shape.experts = extent(keys, kCount, kMaxExperts);
  shape.experts_used = extent(keys, kUsed, kMaxExperts);
  // Each has three matrices a layer, as many names as a file may have tensors.
  if (shape.experts > kMaxExpertMatrices / 3 / shape.layers) {
    fail(ErrorKind::Input,
         keys.spelled(kCount),
         fmt::format("{} experts in {} layers are more than {} matrices",
                     shape.experts,
                     shape.layers,
                     kMaxExpertMatrices));
  }
  if (shape.experts_used > shape.experts) {
    fail(ErrorKind::Input,
         keys.spelled(kUsed),
         fmt::format("{} of {} experts", shape.experts_used, shape.experts));
  }
}

// Of the feed-forward part. A Mixtral has one width; in files of Qwen's the
// width of an expert has a key of its own, or is what the experts of a token
// share, as llama.cpp reads them. Their dense width is in no layer.
void read_widths(const GgufKeys& keys, GgufModelShape& shape) {
  constexpr std::string_view kDense = "feed_forward_length";
  constexpr std::string_view kExpert = "expert_feed_forward_length";
  const std::int64_t own = keys.integer(kExpert).value_or(0);
  if (own != 0) {
    shape.expert_intermediate = extent(keys, kExpert, kMaxIntermediate);
  }
  if (shape.architecture == GgufArchitecture::Llama) {
    shape.intermediate = extent(keys, kDense, kMaxIntermediate);
    if (own != 0 && own != shape.intermediate) {
      fail(ErrorKind::Usage,
           keys.spelled(kExpert),
           fmt::format("{}: expected {}, the width of a Mixtral",
                       own,
                       shape.intermediate));
    }
    shape.expert_intermediate = shape.intermediate;
    return;
  }
  shape.intermediate = own != 0 && !keys.has(kDense)
                           ? own
                           : extent(keys, kDense, kMaxIntermediate);
  if (own != 0) return;
  if (shape.intermediate < shape.experts_used) {
    fail(ErrorKind::Input, keys.spelled(kExpert), "missing");
  }
  shape.expert_intermediate = shape.intermediate / shape.experts_used;
}

void check_known_keys(const GgufKeys& keys) {
  for (const GgufMetadata::Pair& pair : keys.metadata().pairs()) {
    if (!pair.key.starts_with(keys.prefix())) continue;
    const std::string_view name =
        std::string_view(pair.key).substr(keys.prefix().size());
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
void check_variants(const GgufKeys& keys, const GgufModelShape& shape) {
  if (keys.boolean("use_parallel_residual").value_or(false)) {
    fail(ErrorKind::Usage,
         keys.spelled("use_parallel_residual"),
         "true; parallel residuals are not converted");
  }
  if (!keys.boolean("attention.causal").value_or(true)) {
    fail(ErrorKind::Usage,
         keys.spelled("attention.causal"),
         "false; only causal models are converted");
  }
  const auto window = keys.integer("attention.sliding_window").value_or(0);
  if (window > 0 && window < shape.positions) {
    fail(ErrorKind::Usage,
         keys.spelled("attention.sliding_window"),
         fmt::format("{}; sliding attention is not converted", window));
  }
  if (!keys.boolean("expert_weights_norm").value_or(true)) {
    fail(ErrorKind::Usage,
         keys.spelled("expert_weights_norm"),
         "false; only experts whose weights sum to 1 are converted");
  }
  const auto gating = keys.integer("expert_gating_func").value_or(kSoftmax);
  if (gating != kSoftmax) {
    fail(ErrorKind::Usage,
         keys.spelled("expert_gating_func"),
         fmt::format("{}; only {}, softmax, is converted", gating, kSoftmax));
  }
  const std::string* layout = keys.string("tensor_data_layout");
  if (layout != nullptr && *layout != "Meta AI original pth") {
    fail(ErrorKind::Usage,
         keys.spelled("tensor_data_layout"),
         fmt::format("{}; expected \"Meta AI original pth\"",
                     quoted_name(*layout)));
  }
}

// Partial rotary embeddings and heads of different widths are refused.
std::int64_t read_head_dim(const GgufKeys& keys, const GgufModelShape& shape) {
  const auto key = keys.integer("attention.key_length");
  const auto value = keys.integer("attention.value_length");
  const auto rope = keys.integer("rope.dimension_count");
  const std::int64_t dim = key    ? *key
                           : rope ? *rope
                                  : shape.hidden / shape.heads;
  if (dim < 2 || dim % 2 != 0 || dim > kMaxHeadDim) {
    fail(ErrorKind::Input,
         keys.spelled("attention.key_length"),
         fmt::format("expected an even head size of at most {}, found {}",
                     kMaxHeadDim,
                     dim));
  }
  if (rope && *rope != dim) {
    fail(ErrorKind::Usage,
         keys.spelled("rope.dimension_count"),
         fmt::format("{} of {}: partial rotary embeddings are not converted",
                     *rope,
                     dim));
  }
  // Without the key, values are as wide as hidden / heads says.
  const std::int64_t value_dim = value.value_or(dim);
  if (value_dim != dim) {
    fail(ErrorKind::Usage,
         keys.spelled("attention.value_length"),
         fmt::format("{}: expected the key's {}", value_dim, dim));
  }
  return dim;
}

}  // namespace

GgufModelShape read_gguf_model_keys(const GgufMetadata& metadata) {
  GgufModelShape shape;
  shape.architecture = read_architecture(metadata);
  const GgufKeys keys(metadata, name(shape.architecture));
  check_known_keys(keys);
  shape.layers = extent(keys, "block_count", kMaxLayers);
  shape.hidden = extent(keys, "embedding_length", kMaxHidden);
  shape.positions = extent(keys, "context_length", kMaxCount);
  shape.heads = extent(keys, "attention.head_count", kMaxHeads);
  shape.kv_heads = !keys.has("attention.head_count_kv")
                       ? shape.heads
                       : extent(keys, "attention.head_count_kv", kMaxHeads);
  if (shape.heads % shape.kv_heads != 0) {
    fail(ErrorKind::Input,
         keys.spelled("attention.head_count_kv"),
         fmt::format(
             "{} does not divide the {} heads", shape.kv_heads, shape.heads));
  }
  shape.head_dim = read_head_dim(keys, shape);
  read_experts(keys, shape);
  read_widths(keys, shape);
  constexpr std::string_view kEps = "attention.layer_norm_rms_epsilon";
  const auto eps = keys.number(kEps);
  if (!eps) fail(ErrorKind::Input, keys.spelled(kEps), "missing");
  if (!(*eps >= 0 && *eps <= 1)) {
    fail(ErrorKind::Input,
         keys.spelled(kEps),
         fmt::format("expected 0 to 1, found {}", *eps));
  }
  shape.rms_norm_eps = *eps;
  shape.rope = read_rope(keys);
  check_variants(keys, shape);
  return shape;
}

}  // namespace mantissa
