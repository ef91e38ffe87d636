#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include <ATen/core/Tensor.h>
#include <c10/core/UndefinedTensorImpl.h>

#include <mantissa/torch/int8_compute.h>

#include "kernels/linear_lowbit_args.h"
#include "torch/models/linear_layers.h"

namespace mantissa {

class DecoderStack;
class FeedForward;
class LowbitWeight;
class PackedInt8Rule;
class ProductRule;
class RmsNorm;
struct WeightState;
struct CompressedRounding;

/// A vector of the model, on the CPU in float32; none where it is undefined.
class StepVector {
 public:
  StepVector() = default;
  explicit StepVector(const at::Tensor& source);

  explicit operator bool() const { return source_.defined(); }
  const at::Tensor& values() const { return values_; }
  const float* data() const { return values_.const_data_ptr<float>(); }
  /// Whether this is of that tensor, as it was: module->to() changes dtype and
  /// device of a tensor that stays the same.
  bool is(const at::Tensor& source) const;
  /// Reads again what another dtype holds; float32 is read where it lies.
  void refresh();

 private:
  at::Tensor source_;
  at::Tensor values_;
  c10::ScalarType type_ = at::kFloat;  // of the source
};

/// Says whether a linear still has the weight that it had; keeps none alive.
/// The linear must live.
class LinearMark {
 public:
  explicit LinearMark(const torch::nn::LinearImpl& linear);
  bool kept() const;
  /// What kept() reads was last read a token ago and lies in memory.
  void fetch() const;

 private:
  using Weak =
      c10::weak_intrusive_ptr<c10::TensorImpl, c10::UndefinedTensorImpl>;

  const torch::nn::LinearImpl* linear_;
  const c10::TensorImpl* weight_;
  const WeightState* state_;  // of the weight; null: a plain one
  c10::ScalarType type_;
  bool transposed_ = false;
  Weak weak_weight_;  // no other is made where it lies
  std::weak_ptr<const LowbitWeight> packed_;
  std::weak_ptr<const ProductRule> rule_;
};

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
  StepVector bias = {};
  std::optional<LinearMark> mark = {};

  bool packed() const {
    return compute != Int8Compute::None || int8 != nullptr;
  }
  /// Of the packed weight; without one there are none.
  std::int64_t tiles() const {
    return packed() ? (w.n + kernels::kLowbitTile - 1) / kernels::kLowbitTile
                    : 0;
  }
};

/// An RMSNorm, or none.
struct StepNorm {
  StepVector weight = {};
  float eps = 0;
  const RmsNorm* norm = nullptr;  ///< which lives

  explicit operator bool() const { return norm != nullptr; }
  /// As LinearMark's.
  bool kept() const;
  void fetch() const;
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

/// The parts of a stack's layers and its last norm. Taking them apart costs a
/// small model a twentieth of a token, so they are kept while the stack has the
/// weights that it had.
class StepParts {
 public:
  /// Looks at the stack, which must live while the parts are used; false where
  /// a norm is not a plain float on the CPU.
  bool take(const DecoderStack& stack);

  const std::vector<StepLayer>& layers() const { return layers_; }
  const StepNorm& last() const { return last_; }

 private:
  bool kept(const DecoderStack& stack) const;
  bool take_anew(const DecoderStack& stack);

  std::weak_ptr<const torch::nn::Module> stack_;
  std::vector<StepLayer> layers_;
  StepNorm last_;
  bool autocast_ = false;
};

}  // namespace mantissa
