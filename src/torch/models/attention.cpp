#include "torch/models/attention.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <vector>

#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/softmax.h>

#include "torch/models/block_sizes.h"
#include "torch/models/cache_rows.h"
#include "torch/models/row_ops.h"

namespace mantissa {
Attention::Attention(const DecoderConfig& config,
                     const LayerConfig& layer,
                     c10::ScalarType dtype)
    : head_dim_(config.head_dim),
      window_(layer.window),
      scale_(config.attention_scale),
      cap_(config.attention_cap) {
  const std::int64_t q = config.heads * head_dim_;
  const std::int64_t kv = config.kv_heads * head_dim_;
  const bool bias = config.qkv_bias;
  q_ = register_module("q_proj", make_linear(config.hidden, q, bias, dtype));
  k_ = register_module("k_proj", make_linear(config.hidden, kv, bias, dtype));
  v_ = register_module("v_proj", make_linear(config.hidden, kv, bias, dtype));
  o_ = register_module(
      "o_proj", make_linear(q, config.hidden, config.output_bias, dtype));
  if (!config.qk_norm) return;
  const auto norm = [&] {
    return std::make_shared<RmsNorm>(
        head_dim_, config.norm_eps, config.one_plus_norm, dtype);
  };
  q_norm_ = register_module("q_norm", norm());
  k_norm_ = register_module("k_norm", norm());
}

// [B, T, heads, head_dim]
at::Tensor Attention::heads(const at::Tensor& y) const {
  return y.view({y.size(0), y.size(1), -1, head_dim_});
}

// [B, heads, T, head_dim]
at::Tensor Attention::turned(const at::Tensor& heads,
                             const std::shared_ptr<RmsNorm>& norm,
                             const RopeAngles& angles) const {
  const at::Tensor y = norm != nullptr ? norm->forward(heads) : heads;
  // In place where nobody keeps the product.
  if (!takes_row_ops(y) || !takes_row_ops(angles.cos) ||
      !takes_row_ops(angles.sin)) {
    return rotate(y.transpose(1, 2), angles);
  }
  rotate_rows(y, angles.cos, angles.sin);
  return y.transpose(1, 2);
}

at::Tensor Attention::forward(const at::Tensor& x,
                              const RopeAngles& angles,
                              const KvCache::Layer* cache,
                              std::int64_t past) {
  const auto qkv = forward_each(x, {&q_, &k_, &v_});
  const at::Tensor q = turned(heads(qkv[0]), q_norm_, angles);
  const at::Tensor k = turned(heads(qkv[1]), k_norm_, angles);
  const at::Tensor v = heads(qkv[2]).transpose(1, 2);
  if (cache != nullptr) append_positions(*cache, past, k, v);
  const at::Tensor y =
      cache == nullptr ? attend(q, k, v) : attend_cached(q, *cache, past);
  return o_->forward(y.transpose(1, 2).reshape({x.size(0), x.size(1), -1}));
}

// To all positions that are in the cache now.
at::Tensor Attention::attend_cached(const at::Tensor& q,
                                    const KvCache::Layer& cache,
                                    std::int64_t past) const {
  const std::int64_t count = past + q.size(2);
  const c10::ScalarType dtype =
      takes_attention_bf16(q, cache.keys, cache.values, causal())
          ? at::kBFloat16
          : q.scalar_type();
  const auto seen = [&](const at::Tensor& rows, const at::Tensor& scales) {
    return first_positions(rows, scales, count, dtype);
  };
  return attend(q,
                seen(cache.keys, cache.key_scales),
                seen(cache.values, cache.value_scales));
}

// The last query sees the last key; blocks of queries bound the scores.
at::Tensor Attention::attend(const at::Tensor& q,
                             const at::Tensor& k,
                             const at::Tensor& v) const {
  if (takes_attention_bf16(q, k, v, causal())) {
    return attention_bf16(q, k, v, causal());
  }
  const std::int64_t queries = q.size(2);
  const std::int64_t past = k.size(2) - queries;
  std::vector<at::Tensor> blocks;
  // Small blocks skip more of what no query sees.
  const std::int64_t block = fused(q) ? kFusedQueryBlock : kQueryBlock;
  for (std::int64_t i = 0; i < queries; i += block) {
    const std::int64_t count = std::min(block, queries - i);
    blocks.push_back(attend_block(q.narrow(2, i, count), k, v, past + i));
  }
  return blocks.size() == 1 ? blocks.front() : at::cat(blocks, 2);
}

// libtorch's kernel for CPUs keeps no scores, but knows no cap.
bool Attention::fused(const at::Tensor& q) const {
  return q.is_cpu() && cap_ == 0;
}

// Queries at [position, position + T) against the keys that they see.
at::Tensor Attention::attend_block(const at::Tensor& q,
                                   const at::Tensor& k,
                                   const at::Tensor& v,
                                   std::int64_t position) const {
  const std::int64_t queries = q.size(2);
  const std::int64_t end = position + queries;
  const std::int64_t begin =
      window_ > 0 ? std::max<std::int64_t>(0, position - window_ + 1) : 0;
  const at::Tensor keys = k.narrow(2, begin, end - begin);
  const at::Tensor values = v.narrow(2, begin, end - begin);
  at::Tensor hidden;
  if (queries > 1) {
    const at::Tensor i =
        at::arange(position, end, q.options().dtype(at::kLong)).unsqueeze(1);
    const at::Tensor j = at::arange(begin, end, i.options());
    hidden = j > i;
    if (window_ > 0) hidden = hidden.logical_or(j <= i - window_);
  }
  if (fused(q)) {
    std::optional<at::Tensor> seen;
    if (hidden.defined()) seen = hidden.logical_not();
    return at::scaled_dot_product_attention(
        q, keys, values, seen, 0.0, /*is_causal=*/false, scale_, true);
  }
  const std::int64_t groups = k.size(1);
  // [B, heads, T, D] -> [B, groups, heads / groups * T, D]
  const at::Tensor grouped = q.reshape({q.size(0), groups, -1, head_dim_});
  at::Tensor scores = at::matmul(grouped, keys.transpose(2, 3)).mul_(scale_);
  if (cap_ > 0) scores.div_(cap_).tanh_().mul_(cap_);
  scores = scores.view({q.size(0), q.size(1), queries, end - begin});
  if (hidden.defined()) {
    scores.masked_fill_(hidden, -std::numeric_limits<double>::infinity());
  }
  const at::Tensor weights =
      at::softmax(scores, -1, at::kFloat).to(q.scalar_type());
  return at::matmul(weights.view({q.size(0), groups, -1, end - begin}), values)
      .view_as(q);
}

}  // namespace mantissa
