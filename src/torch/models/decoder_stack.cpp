#include "torch/models/decoder_stack.h"

#include <string>
#include <utility>

#include <ATen/ops/scalar_tensor.h>

#include "torch/tensor/packed_embedding.h"
#include "torch/tensor/quantized_tensor_impl.h"

namespace mantissa {
namespace {

// The list of layers, for their names alone.
class LayerList : public torch::nn::Module {
 public:
  void add(const std::shared_ptr<DecoderLayer>& layer) {
    register_module(std::to_string(children().size()), layer);
  }
};

}  // namespace

DecoderLayer::DecoderLayer(const DecoderConfig& config,
                           const LayerConfig& layer,
                           c10::ScalarType dtype) {
  const auto norm = [&](const char* name) {
    return register_module(
        name,
        std::make_shared<RmsNorm>(
            config.hidden, config.norm_eps, config.one_plus_norm, dtype));
  };
  input_norm_ = norm("input_layernorm");
  attention_ = register_module(
      "self_attn", std::make_shared<Attention>(config, layer, dtype));
  attention_norm_ = norm("post_attention_layernorm");
  if (config.feedforward_norms) {
    before_ = norm("pre_feedforward_layernorm");
    after_ = norm("post_feedforward_layernorm");
  }
  if (layer.experts) {
    feed_forward_ = std::make_shared<SparseExperts>(config, dtype);
  } else {
    feed_forward_ = std::make_shared<GatedMlp>(config, dtype);
  }
  register_module("mlp", feed_forward_);
}

at::Tensor DecoderLayer::forward(at::Tensor x,
                                 const RopeAngles& angles,
                                 const KvCache::Layer* cache,
                                 std::int64_t past) {
  const at::Tensor mixed =
      attention_->forward(input_norm_->forward(x), angles, cache, past);
  if (before_ == nullptr) {
    x = x + mixed;
    return x + feed_forward_->forward(attention_norm_->forward(x));
  }
  x = x + attention_norm_->forward(mixed);
  return x + after_->forward(feed_forward_->forward(before_->forward(x)));
}

DecoderStack::DecoderStack(const DecoderConfig& config, c10::ScalarType dtype)
    : embedding_scale_(config.embedding_scale), dtype_(dtype) {
  embedding_ = register_module(
      "embed_tokens", make_embedding(config.vocabulary, config.hidden, dtype));
  for (const RopeConfig& rope : config.ropes) {
    ropes_.emplace_back(rope, config.head_dim);
  }
  const auto list = register_module("layers", std::make_shared<LayerList>());
  for (const LayerConfig& layer : config.layers) {
    layers_.push_back(std::make_shared<DecoderLayer>(config, layer, dtype));
    rope_of_layer_.push_back(layer.rope);
    list->add(layers_.back());
  }
  norm_ = register_module(
      "norm",
      std::make_shared<RmsNorm>(
          config.hidden, config.norm_eps, config.one_plus_norm, dtype));
}

std::vector<RopeAngles> DecoderStack::angles(std::int64_t past,
                                             const at::Tensor& x) const {
  std::vector<RopeAngles> out;
  for (const Rope& rope : ropes_) {
    out.push_back(rope.angles(past, x.size(1), x.options()));
  }
  return out;
}

at::Tensor DecoderStack::embed(const at::Tensor& ids) const {
  // Each operator that is run once a token costs its code's way from memory.
  at::Tensor x;
  if (is_wrapped(embedding_->weight)) {
    x = packed_embedding(embedding_->weight, ids.cpu());
  }
  if (!x.defined()) {
    x = embedding_->forward(ids.to(embedding_->weight.device()));
  }
  if (x.scalar_type() != dtype_) x = x.to(dtype_);
  if (embedding_scale_ != 1) {
    // Rounded to the dtype first, as the checkpoints were trained.
    x = x * at::scalar_tensor(embedding_scale_, x.options());
  }
  return x;
}

at::Tensor DecoderStack::forward(const at::Tensor& ids,
                                 const KvCache* cache,
                                 std::int64_t past) {
  at::Tensor x = embed(ids);
  const std::vector<RopeAngles> turned = angles(past, x);
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    x = layers_[i]->forward(std::move(x),
                            turned[rope_of_layer_[i]],
                            cache == nullptr ? nullptr : &cache->layer(i),
                            past);
  }
  return norm_->forward(x);
}

}  // namespace mantissa
