#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>

#include <ATen/core/Tensor.h>

#include "kernels/linear_lowbit.h"
#include "kernels/linear_lowbit_bf16.h"
#include "kernels/linear_lowbit_float.h"
#include "torch/models/decode_input.h"
#include "torch/models/decode_parts.h"
#include "torch/ops/on_threads.h"

namespace mantissa {

/// A product of a step and where its N results go.
struct StepProduct {
  const StepLinear* linear;
  float* y;
};

/// The products of decode_step(): linears of one vector in one parallel region,
/// which share its forms. What is not packed runs as a module, before that.
class StepProducts {
 public:
  using Products = std::initializer_list<StepProduct>;
  /// What the next multiply() begins with, which threads share as it will: they
  /// fetch its codes ahead. Empty: not known.
  using Next = std::initializer_list<const StepLinear*>;
  /// Columns [begin, end).
  using Columns = std::function<void(std::int64_t, std::int64_t)>;

  /// `type`: the dtype of the model's activations, to which x is rounded and in
  /// which modules give their results.
  explicit StepProducts(c10::ScalarType type);

  c10::ScalarType type() const { return input_.type(); }
  /// Of another token: takes the number of threads that is set now.
  void begin();

  /// Each y = x * w^T + bias in float32; x [1, 1, K] float32.
  void multiply(const at::Tensor& x, Products products, Next next);

  /// The same for linears of one size N; each thread calls `behind` for the
  /// columns of which it has all the products.
  void multiply(const at::Tensor& x,
                Products products,
                Next next,
                const Columns& behind);

 private:
  bool prepare(const at::Tensor& x, Products products);
  void run_packed(Products products, Next next) const;
  void run_share(Products products, Next next, std::int64_t t) const;
  void run(const StepProduct& product,
           Share tiles,
           const std::uint8_t* next) const;

  std::int64_t threads_ = 1;
  const kernels::LinearLowbitKernel& int8_;
  const kernels::LinearLowbitFloatKernel& float_;
  const kernels::LinearLowbitBf16Kernel& bf16_;
  StepInput input_;
};

}  // namespace mantissa
