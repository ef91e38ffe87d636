#pragma once

#include <memory>
#include <vector>

#include <mantissa/torch/sentence_encoder.h>

#include "torch/models/layer_norm.h"
#include "torch/models/linear_layers.h"

namespace mantissa {

/// Word, position and type embeddings, summed and normalized.
class BertEmbeddings : public torch::nn::Module {
 public:
  BertEmbeddings(const BertConfig& config, c10::ScalarType dtype);
  /// ids [B, T], all of type 0
  at::Tensor forward(const at::Tensor& ids);

 private:
  EmbeddingPtr words_;
  EmbeddingPtr positions_;
  EmbeddingPtr types_;
  std::shared_ptr<LayerNorm> norm_;
};

/// One encoder layer: attention and feed-forward, each added to its input and
/// normalized after.
class BertLayer : public torch::nn::Module {
 public:
  BertLayer(const BertConfig& config, c10::ScalarType dtype);
  /// x [B, T, hidden]; `bias` [B, 1, 1, T] is added to the scores.
  at::Tensor forward(const at::Tensor& x, const at::Tensor& bias);

 private:
  at::Tensor attend(const at::Tensor& x, const at::Tensor& bias);
  at::Tensor heads(const LinearPtr& projection, const at::Tensor& x) const;

  std::int64_t head_dim_;
  Activation activation_;
  LinearPtr query_;
  LinearPtr key_;
  LinearPtr value_;
  LinearPtr mixed_;
  LinearPtr wide_;
  LinearPtr narrow_;
  std::shared_ptr<LayerNorm> attention_norm_;
  std::shared_ptr<LayerNorm> output_norm_;
};

/// The encoder, with the parameter names of BertModel.
class BertStack : public torch::nn::Module {
 public:
  BertStack(const BertConfig& config, c10::ScalarType dtype);
  /// ids and mask [B, T] to [B, T, hidden]
  at::Tensor forward(const at::Tensor& ids, const at::Tensor& mask);

 private:
  c10::ScalarType dtype_;
  std::shared_ptr<BertEmbeddings> embeddings_;
  std::vector<std::shared_ptr<BertLayer>> layers_;
};

}  // namespace mantissa
