#pragma once

#include <cstddef>
#include <vector>

#include <ATen/core/Tensor.h>

#include "kernels/linear_lowbit_bf16.h"
#include "kernels/linear_lowbit_float.h"
#include "kernels/lowbit_activations.h"
#include "torch/models/decode_parts.h"
#include "torch/ops/packed_int8.h"

namespace mantissa {

/// A vector as products take it: int8 codes, or floats or bfloat16 in their
/// order, after what a config does to its activations.
struct StepForm {
  Int8Compute compute = Int8Compute::None;
  const CompressedRounding* rounding = nullptr;
  bool bf16 = false;  // StepInput::multiplies_bf16()
  const PackedInt8Rule* int8_of = nullptr;
  Int8Input int8;  // where int8_of is; else one of the three below
  kernels::LowbitActivationBuffer codes;
  kernels::LowbitFloatBuffer floats;
  kernels::LowbitBf16Buffer narrow;
};

/// The vector that products of a step multiply, rounded to the dtype of the
/// model's activations, in each form that one of them asks for, made once.
class StepInput {
 public:
  explicit StepInput(c10::ScalarType type);

  /// Whether a packed linear multiplies bfloat16, StepForm::narrow: not what no
  /// kernel does.
  bool multiplies_bf16(const StepLinear& linear) const;

  c10::ScalarType type() const { return type_; }

  /// A new vector, [1, 1, K] float32, which outlives the calls below.
  void set(const at::Tensor& x);

  /// The vector in the model's dtype.
  const at::Tensor& values();

  /// Makes the form that a packed linear takes.
  void prepare(const StepLinear& linear);

  /// That form, once prepared; from any thread.
  const StepForm& form(const StepLinear& linear) const;

 private:
  std::size_t find(const StepLinear& linear) const;
  void make(StepForm& form);
  void make_codes(StepForm& form);

  c10::ScalarType type_;
  bool bf16_;
  const at::Tensor* x_ = nullptr;
  at::Tensor values_;            // once asked for
  std::vector<StepForm> forms_;  // the first made_ of this vector
  std::size_t made_ = 0;
};

}  // namespace mantissa
