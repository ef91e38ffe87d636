#include "torch/models/bert.h"

#include <cmath>
#include <limits>
#include <string>
#include <utility>

#include <ATen/ops/arange.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/zeros.h>

#include "torch/models/feed_forward.h"

namespace mantissa {
namespace {

// A node of the tree of names.
class Names : public torch::nn::Module {
 public:
  template <class M>
  std::shared_ptr<M> add(const std::string& name, std::shared_ptr<M> module) {
    return register_module(name, std::move(module));
  }
};

std::shared_ptr<Names> node() { return std::make_shared<Names>(); }

}  // namespace

BertEmbeddings::BertEmbeddings(const BertConfig& config,
                               c10::ScalarType dtype) {
  const auto table = [&](const char* name, std::int64_t rows) {
    return register_module(name, make_embedding(rows, config.hidden, dtype));
  };
  words_ = table("word_embeddings", config.vocabulary);
  positions_ = table("position_embeddings", config.positions);
  types_ = table("token_type_embeddings", config.types);
  norm_ = register_module(
      "LayerNorm",
      std::make_shared<LayerNorm>(config.hidden, config.norm_eps, dtype));
}

at::Tensor BertEmbeddings::forward(const at::Tensor& ids) {
  const at::Tensor places = at::arange(ids.size(1), ids.options());
  const at::Tensor type = at::zeros({1}, ids.options());
  return norm_->forward(words_->forward(ids) + types_->forward(type) +
                        positions_->forward(places));
}

BertLayer::BertLayer(const BertConfig& config, c10::ScalarType dtype)
    : head_dim_(config.hidden / config.heads), activation_(config.activation) {
  const std::int64_t hidden = config.hidden;
  const auto linear = [&](std::int64_t in, std::int64_t out) {
    return make_linear(in, out, true, dtype);
  };
  const auto norm = [&] {
    return std::make_shared<LayerNorm>(hidden, config.norm_eps, dtype);
  };
  const auto attention = register_module("attention", node());
  const auto self = attention->add("self", node());
  query_ = self->add("query", linear(hidden, hidden));
  key_ = self->add("key", linear(hidden, hidden));
  value_ = self->add("value", linear(hidden, hidden));
  const auto mixed = attention->add("output", node());
  mixed_ = mixed->add("dense", linear(hidden, hidden));
  attention_norm_ = mixed->add("LayerNorm", norm());
  wide_ = register_module("intermediate", node())
              ->add("dense", linear(hidden, config.intermediate));
  const auto output = register_module("output", node());
  narrow_ = output->add("dense", linear(config.intermediate, hidden));
  output_norm_ = output->add("LayerNorm", norm());
}

at::Tensor BertLayer::heads(const LinearPtr& projection,
                            const at::Tensor& x) const {
  return projection->forward(x)
      .view({x.size(0), x.size(1), -1, head_dim_})
      .transpose(1, 2);  // [B, heads, T, head_dim]
}

at::Tensor BertLayer::attend(const at::Tensor& x, const at::Tensor& bias) {
  const double scale = std::pow(static_cast<double>(head_dim_), -0.5);
  const at::Tensor scores =
      at::matmul(heads(query_, x), heads(key_, x).transpose(2, 3))
          .mul(scale)
          .add(bias);
  const at::Tensor weights =
      at::softmax(scores, -1, at::kFloat).to(x.scalar_type());
  return at::matmul(weights, heads(value_, x))
      .transpose(1, 2)
      .reshape(x.sizes());
}

at::Tensor BertLayer::forward(const at::Tensor& x, const at::Tensor& bias) {
  const at::Tensor y =
      attention_norm_->forward(mixed_->forward(attend(x, bias)) + x);
  const at::Tensor wide = activate(wide_->forward(y), activation_);
  return output_norm_->forward(narrow_->forward(wide) + y);
}

BertStack::BertStack(const BertConfig& config, c10::ScalarType dtype)
    : dtype_(dtype) {
  embeddings_ = register_module(
      "embeddings", std::make_shared<BertEmbeddings>(config, dtype));
  const auto list = register_module("encoder", node())->add("layer", node());
  for (std::int64_t i = 0; i < config.layers; ++i) {
    layers_.push_back(list->add(std::to_string(i),
                                std::make_shared<BertLayer>(config, dtype)));
  }
}

at::Tensor BertStack::forward(const at::Tensor& ids, const at::Tensor& mask) {
  at::Tensor x = embeddings_->forward(ids).to(dtype_);
  const at::Tensor hidden = mask.eq(0).unsqueeze(1).unsqueeze(2);
  const at::Tensor bias =
      at::zeros(hidden.sizes(), x.options())
          .masked_fill(hidden, -std::numeric_limits<double>::infinity());
  for (const auto& layer : layers_) x = layer->forward(x, bias);
  return x;
}

}  // namespace mantissa
