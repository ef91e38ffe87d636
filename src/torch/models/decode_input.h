#pragma once

#include <cstddef>
#include <vector>

#include <ATen/core/Tensor.h>

#include "kernels/linear_lowbit_float.h"
#include "kernels/lowbit_activations.h"
#include "torch/models/decode_parts.h"

namespace mantissa {

/// A vector as products take it: int8 codes, or floats in their order, after
/// what a config does to its activations.
struct StepForm {
  Int8Compute compute = Int8Compute::None;
  const CompressedRounding* rounding = nullptr;
  kernels::LowbitActivationBuffer codes;  // one of the two
  kernels::LowbitFloatBuffer floats;
};

/// The vector that products of a step multiply, in each form that one of them
/// asks for, made once.
class StepInput {
 public:
  /// A new vector, [1, 1, K] float32, which outlives the calls below.
  void set(const at::Tensor& x);

  /// Makes the form that a packed linear takes.
  void prepare(const StepLinear& linear);

  /// That form, once prepared; from any thread.
  const StepForm& form(const StepLinear& linear) const;

 private:
  std::size_t find(const StepLinear& linear) const;
  void make(StepForm& form) const;

  const at::Tensor* x_ = nullptr;
  std::vector<StepForm> forms_;  // the first made_ of this vector
  std::size_t made_ = 0;
};

}  // namespace mantissa
