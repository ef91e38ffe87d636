#include "torch/models/memory_plan.h"

#include <algorithm>

#include <fmt/format.h>

#include <mantissa/core/error.h>
#include <mantissa/core/tensor_view.h>
#include <mantissa/formats/encoding.h>

#include "torch/models/block_sizes.h"
#include "torch/models/model_weights.h"

namespace mantissa {
namespace {

// Activations are counted as float32, which products on the CPU make of them;
// in doubles, which no size overflows.
constexpr double kFloat = 4;
// Of a judged logit: itself and its float64 likelihood, here and in the
// reference, and two terms of the divergence.
constexpr double kLogitBytes = 2 * (kFloat + 8) + 2 * 8;

std::string megabytes(std::int64_t bytes) {
  if (bytes < 100'000) return fmt::format("{} bytes", bytes);
  return fmt::format("{:.1f} MB", static_cast<double>(bytes) / 1e6);
}

double real(std::int64_t size) { return static_cast<double>(size); }

// Bytes, at most what an int64 holds several times over.
std::int64_t whole(double bytes) {
  return static_cast<std::int64_t>(std::min(bytes, 0x1p60));
}

// One pass: sequences of so many tokens that see so many keys.
struct Pass {
  double batch;
  double tokens;
  double keys;
  bool cached;
};

double attention_bytes(const DecoderConfig& config, const Pass& pass) {
  const double rows = pass.batch * pass.tokens;
  const double q = real(config.heads * config.head_dim);
  const double kv = real(config.kv_heads * config.head_dim);
  // As they are made and turned, and the mixed values twice; scores, their
  // softmax and what of it is multiplied.
  const double made = rows * (4 * q + 4 * kv);
  const double scores = 3 * pass.batch * real(config.heads) *
                        std::min(real(kQueryBlock), pass.tokens) * pass.keys;
  const double read = pass.cached ? 2 * pass.batch * pass.keys * kv : 0;
  return (made + scores + read) * kFloat;
}

// Gate, up, activated and multiplied; experts get rows of their own.
double feed_forward_bytes(const DecoderConfig& config, const Pass& pass) {
  const double rows = pass.batch * pass.tokens;
  const ExpertsConfig& experts = config.experts;
  const double dense = real(4 * config.intermediate);
  const double sparse = real(experts.experts_per_token) *
                        real(4 * experts.intermediate + 3 * config.hidden);
  return rows * std::max(dense, sparse) * kFloat;
}

double activation_bytes(const DecoderConfig& config, const Pass& pass) {
  const double rows = pass.batch * pass.tokens;
  const double hidden = 4 * rows * real(config.hidden) * kFloat;
  const double logits =
      std::min(rows, real(kRowBlock)) * real(config.vocabulary) * kLogitBytes;
  return hidden + std::max({attention_bytes(config, pass),
                            feed_forward_bytes(config, pass),
                            logits});
}

}  // namespace

MemoryPlan make_memory_plan(const CheckpointWeights& weights,
                            const DecoderConfig& config,
                            const ModelOptions& options) {
  MemoryPlan plan;
  plan.positions = options.context > 0 ? options.context : config.positions;
  plan.batch = options.batch;
  double decoded = 0;
  for (const CheckpointWeight& weight : weights.weights()) {
    if (weight.tied || weight.role == TensorRole::Position) continue;
    plan.weights +=
        loaded_bytes(weight, options.compute_dtype, options.int8_compute);
    // Read in the stored dtype, or as the fields of codes, then cast; codes one
    // to a byte while packed.
    const bool packs =
        weight.encoding != nullptr && options.int8_compute != Int8Compute::None;
    plan.loading =
        std::max(plan.loading,
                 packs ? stored_bytes(*weight.encoding) + numel(weight.shape)
                       : weight.bytes);
    // For each product.
    if (weight.encoding != nullptr &&
        !decoding_reason(weight, options.int8_compute, options.device)
             .empty()) {
      decoded = std::max(decoded, 2 * kFloat * real(numel(weight.shape)));
    }
  }
  if (options.cached) {
    plan.cache =
        KvCache::bytes_for(config,
                           plan.batch,
                           plan.positions,
                           options.cache_dtype.value_or(options.compute_dtype));
  }
  const std::int64_t tokens = options.pass_tokens > 0
                                  ? options.pass_tokens
                                  : std::min(kPromptBlock, plan.positions);
  const std::int64_t keys = options.cached ? plan.positions : tokens;
  plan.activations = whole(
      decoded +
      activation_bytes(
          config,
          {real(options.batch), real(tokens), real(keys), options.cached}));
  return plan;
}

MemoryPlan MemoryPlan::beside(const MemoryPlan& reference) const {
  MemoryPlan out = *this;
  out.reference += reference.weights;
  out.loading = std::max(loading, reference.loading);
  out.activations = std::max(activations, reference.activations);
  out.cache += reference.cache;
  return out;
}

std::int64_t MemoryPlan::total() const {
  return weights + reference + std::max(loading, cache + activations);
}

void MemoryPlan::require(const std::optional<std::int64_t>& limit) const {
  if (!limit || total() <= *limit) return;
  throw Error(
      ErrorKind::Resources,
      fmt::format("memory: {} are needed ({}), {} are allowed; use a shorter "
                  "context, fewer sequences at a time, a quantized checkpoint "
                  "or a narrower dtype to compute in or of the cache",
                  megabytes(total()),
                  text(),
                  megabytes(*limit)));
}

std::string MemoryPlan::text() const {
  std::string where = fmt::format("{} positions", positions);
  if (batch != 1) where += fmt::format(" x {} sequences", batch);
  std::string out = fmt::format("weights {}", megabytes(weights));
  if (reference > 0)
    out += fmt::format(" + reference {}", megabytes(reference));
  if (cache > 0) out += fmt::format(" + KV cache {}", megabytes(cache));
  return out +
         fmt::format(" + activations {} ({}) = {}",
                     megabytes(activations),
                     where,
                     megabytes(weights + reference + cache + activations));
}

}  // namespace mantissa
