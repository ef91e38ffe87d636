#pragma once

#include <ATen/core/Tensor.h>

#include <mantissa/torch/int8_compute.h>

#include "kernels/lowbit_activations.h"

namespace mantissa {

/// The vector that products of a step multiply, as int8 codes: made once, when
/// a product first asks for them.
class StepInput {
 public:
  /// A new vector, [1, 1, K] float32, which outlives the calls below.
  void set(const at::Tensor& x);

  /// Makes the codes for `compute`, which takes_int8().
  void prepare(Int8Compute compute);

  /// Those, once prepared; from any thread.
  kernels::LowbitActivations codes(Int8Compute compute) const;

 private:
  const at::Tensor* x_ = nullptr;
  bool made_[4] = {};
  kernels::LowbitActivationBuffer buffers_[4];
};

}  // namespace mantissa
