#pragma once

#include <memory>
#include <vector>

#include "torch/models/attention.h"
#include "torch/models/feed_forward.h"

namespace mantissa {

/// One decoder layer: attention and a feed-forward block, each behind a norm
/// and added to x; with feedforward_norms, each before another norm too.
class DecoderLayer : public torch::nn::Module {
 public:
  DecoderLayer(const DecoderConfig& config,
               const LayerConfig& layer,
               c10::ScalarType dtype);

  at::Tensor forward(at::Tensor x,
                     const RopeAngles& angles,
                     const KvCache::Layer* cache,
                     std::int64_t past);

  // The parts, for decode_step().
  const RmsNorm& input_norm() const { return *input_norm_; }
  const Attention& attention() const { return *attention_; }
  const RmsNorm& attention_norm() const { return *attention_norm_; }
  FeedForward& feed_forward() const { return *feed_forward_; }
  /// Null without feedforward_norms.
  const RmsNorm* before_feed_forward() const { return before_.get(); }
  const RmsNorm* after_feed_forward() const { return after_.get(); }

 private:
  std::shared_ptr<RmsNorm> input_norm_;
  std::shared_ptr<Attention> attention_;
  std::shared_ptr<RmsNorm> attention_norm_;  // before the block, or after it
  std::shared_ptr<RmsNorm> before_;          // with feedforward_norms
  std::shared_ptr<RmsNorm> after_;
  std::shared_ptr<FeedForward> feed_forward_;
};

/// Embedding, layers and the last norm: "model." in names.
class DecoderStack : public torch::nn::Module {
 public:
  DecoderStack(const DecoderConfig& config, c10::ScalarType dtype);

  const EmbeddingPtr& embedding() const { return embedding_; }
  at::Tensor forward(const at::Tensor& ids,
                     const KvCache* cache,
                     std::int64_t past);

  /// Hidden states before the first layer: [B, T, hidden].
  at::Tensor embed(const at::Tensor& ids) const;
  std::vector<RopeAngles> angles(std::int64_t past, const at::Tensor& x) const;
  // The parts, for decode_step().
  const std::vector<std::shared_ptr<DecoderLayer>>& layers() const {
    return layers_;
  }
  const std::vector<Rope>& ropes() const { return ropes_; }
  std::size_t rope_of_layer(std::size_t layer) const {
    return rope_of_layer_[layer];
  }
  const RmsNorm& norm() const { return *norm_; }

 private:
  double embedding_scale_;
  c10::ScalarType dtype_;
  EmbeddingPtr embedding_;
  std::vector<Rope> ropes_;
  std::vector<std::size_t> rope_of_layer_;
  std::vector<std::shared_ptr<DecoderLayer>> layers_;
  std::shared_ptr<RmsNorm> norm_;
};

}  // namespace mantissa
