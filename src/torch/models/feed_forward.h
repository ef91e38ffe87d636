#pragma once

#include <cstdint>
#include <string>

#include <mantissa/torch/decoder_config.h>

#include "torch/models/linear_layers.h"

namespace mantissa {

/// The activation of a feed-forward block, element by element.
at::Tensor activate(const at::Tensor& x, Activation activation);

/// What follows attention in a decoder layer: x [.., hidden] to the same shape.
class FeedForward : public torch::nn::Module {
 public:
  virtual at::Tensor forward(const at::Tensor& x) = 0;
};

/// down(act(gate(x)) * up(x)).
class GatedMlp : public FeedForward {
 public:
  GatedMlp(const DecoderConfig& config, c10::ScalarType dtype);
  at::Tensor forward(const at::Tensor& x) override;

  // The parts, for decode_step().
  const LinearPtr& gate() const { return gate_; }
  const LinearPtr& up() const { return up_; }
  const LinearPtr& down() const { return down_; }

 private:
  Activation activation_;
  LinearPtr gate_;
  LinearPtr up_;
  LinearPtr down_;
};

/// The experts of one layer: gate_up_proj [E, 2I, H] (gate rows first) and
/// down_proj [E, H, I], plain or quantized.
class Experts : public torch::nn::Module {
 public:
  Experts(const DecoderConfig& config, c10::ScalarType dtype);

  /// x [T, H]; expert chosen[t, s] contributes with weight weights[t, s].
  at::Tensor forward(const at::Tensor& x,
                     const at::Tensor& chosen,
                     const at::Tensor& weights);

 private:
  std::int64_t experts_;
  Activation activation_;
};

/// Scores of the experts: x [T, H] times weight [E, H], transposed. Not a
/// Linear, so that configs for all Linears leave it, as Transformers does.
class Router : public torch::nn::Module {
 public:
  Router(const DecoderConfig& config, c10::ScalarType dtype);
  at::Tensor forward(const at::Tensor& x);
};

/// Router and experts: softmax over all experts in float32, the best
/// experts_per_token of them, weights made to sum to 1 where the model says so.
class SparseExperts : public FeedForward {
 public:
  SparseExperts(const DecoderConfig& config, c10::ScalarType dtype);
  at::Tensor forward(const at::Tensor& x) override;

 private:
  ExpertsConfig config_;
  std::shared_ptr<Router> router_;
  std::shared_ptr<Experts> experts_;
};

}  // namespace mantissa
