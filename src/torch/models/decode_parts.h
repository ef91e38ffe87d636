#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include <mantissa/torch/int8_compute.h>

#include "kernels/linear_lowbit_args.h"
#include "torch/models/linear_layers.h"

namespace mantissa {

class DecoderStack;
class FeedForward;
class PackedInt8Rule;
struct CompressedRounding;

/// A linear of a layer as decode_step() runs it: from the packed weight, or
/// (neither int8 nor a compute) through its module.
struct StepLinear {
  torch::nn::LinearImpl* module = nullptr;
  Int8Compute compute = Int8Compute::None;
  /// What the weight's config does to x first; null: nothing.
  const CompressedRounding* rounding = nullptr;
  /// Codes times those of the activations that the weight's config names.
  const PackedInt8Rule* int8 = nullptr;
  kernels::LowbitWeightView w = {};
  kernels::LowbitScale values = kernels::LowbitScale::F32;  ///< decoded dtype
  at::Tensor bias = {};  ///< float32, or undefined

  bool packed() const {
    return compute != Int8Compute::None || int8 != nullptr;
  }
  std::int64_t tiles() const {
    return (w.n + kernels::kLowbitTile - 1) / kernels::kLowbitTile;
  }
};

/// An RMSNorm; without a weight there is none.
struct StepNorm {
  at::Tensor weight = {};  ///< float32
  float eps = 0;

  explicit operator bool() const { return weight.defined(); }
  const float* values() const { return weight.const_data_ptr<float>(); }
};

/// The parts of one decoder layer. Norms behind a block stand where the model
/// has them: after_attention and after_feed_forward are Gemma's.
struct StepLayer {
  StepNorm before_attention;
  StepLinear q, k, v, o;
  StepNorm q_norm, k_norm;
  StepNorm after_attention;
  StepNorm before_feed_forward;
  StepLinear gate, up, down;
  FeedForward* experts = nullptr;  ///< in place of gate, up and down
  StepNorm after_feed_forward;
  std::int64_t window = 0;
};

/// Whether a step computes activations of this dtype: float32, bfloat16,
/// float16.
bool takes_step(c10::ScalarType type);

/// x, contiguous on the CPU, in another float dtype; itself where it has that.
at::Tensor in_dtype(const at::Tensor& x, c10::ScalarType type);

/// The layers of a stack and its last norm, valid while the stack is; false
/// where a norm is not a plain float on the CPU.
bool step_layers(const DecoderStack& stack,
                 std::vector<StepLayer>& layers,
                 StepNorm& last);

}  // namespace mantissa
