#pragma once

#include <memory>

#include <mantissa/torch/decoder.h>
#include <mantissa/torch/decoder_config.h>

#include "torch/models/linear_layers.h"
#include "torch/models/rms_norm.h"
#include "torch/models/rope.h"
#include "torch/ops/attention_bf16.h"

namespace mantissa {

/// Causal grouped-query attention of one decoder layer.
class Attention : public torch::nn::Module {
 public:
  Attention(const DecoderConfig& config,
            const LayerConfig& layer,
            c10::ScalarType dtype);

  /// x [B, T, hidden]; with a cache, keys and values go behind its `past`
  /// positions and all of them are seen.
  at::Tensor forward(const at::Tensor& x,
                     const RopeAngles& angles,
                     const KvCache::Layer* cache,
                     std::int64_t past);

  // The parts, for decode_step().
  const LinearPtr& q() const { return q_; }
  const LinearPtr& k() const { return k_; }
  const LinearPtr& v() const { return v_; }
  const LinearPtr& o() const { return o_; }
  const RmsNorm* q_norm() const { return q_norm_.get(); }
  const RmsNorm* k_norm() const { return k_norm_.get(); }
  std::int64_t window() const { return window_; }

 private:
  at::Tensor heads(const at::Tensor& y) const;
  at::Tensor turned(const at::Tensor& heads,
                    const std::shared_ptr<RmsNorm>& norm,
                    const RopeAngles& angles) const;
  CausalAttention causal() const { return {window_, scale_, cap_}; }
  at::Tensor attend_cached(const at::Tensor& q,
                           const KvCache::Layer& cache,
                           std::int64_t past) const;
  at::Tensor attend(const at::Tensor& q,
                    const at::Tensor& k,
                    const at::Tensor& v) const;
  bool fused(const at::Tensor& q) const;
  at::Tensor attend_block(const at::Tensor& q,
                          const at::Tensor& k,
                          const at::Tensor& v,
                          std::int64_t position) const;

  std::int64_t head_dim_;
  std::int64_t window_;
  double scale_;
  double cap_;
  LinearPtr q_;
  LinearPtr k_;
  LinearPtr v_;
  LinearPtr o_;
  std::shared_ptr<RmsNorm> q_norm_;
  std::shared_ptr<RmsNorm> k_norm_;
};

}  // namespace mantissa
