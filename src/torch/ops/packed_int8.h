#pragma once

#include <cstdint>
#include <memory>

#include <ATen/core/Tensor.h>

#include "formats/lowbit_weight.h"
#include "kernels/linear_lowbit.h"
#include "kernels/lowbit_activations.h"
#include "torch/ops/linear_int8.h"

namespace mantissa {

/// A weight of linear_int8() on the CPU in the runtime layout of linear_lowbit,
/// and what stands around its products.
class Int8Weight {
 public:
  /// `codes`: int8, K up to kernels::kLowbitExact. `scale`: float32, one value
  /// or one for each row. `qdata`: what was packed, [N, K].
  Int8Weight(std::shared_ptr<const LowbitWeight> codes,
             const at::Tensor& scale,
             const at::Tensor& qdata);

  /// Without scales: all are 1.
  const kernels::LowbitWeightView& view() const { return view_; }
  std::int64_t columns() const { return codes_->layout().k; }
  const at::Tensor& scale() const { return scale_; }
  const float* sums() const { return sums_.const_data_ptr<float>(); }

 private:
  std::shared_ptr<const LowbitWeight> codes_;
  at::Tensor scale_;  // float32, one value or [N]
  at::Tensor sums_;   // float32 [N]: of each row's codes
  at::Tensor ones_;   // bfloat16 [tiles * 16]
  kernels::LowbitWeightView view_;
};

/// x of linear_int8(), quantized and arranged once for products with several
/// packed weights.
class Int8Input {
 public:
  /// x [.., K] on the CPU; without rows there is nothing to be multiplied.
  Int8Input(const at::Tensor& x, const Int8Activation& activation);

  /// linear_int8() with such a weight, to the bit. Throws as it does.
  at::Tensor linear(const Int8Weight& weight,
                    const at::Tensor& bias,
                    c10::ScalarType out_dtype) const;

  /// Columns of tiles [begin, end) of the products of one row, in float32 and
  /// by the calling thread; `kernel` takes one row. `bias`: as readable_bias()
  /// gives it.
  void run_row(const kernels::LinearLowbitKernel& kernel,
               const Int8Weight& weight,
               const at::Tensor& bias,
               const kernels::LinearLowbitTiles& tiles,
               float* y) const;

 private:
  at::Tensor x_;
  Int8Activation activation_;
  std::unique_ptr<const Int8Rows> rows_;  // null: none
  kernels::LowbitActivationBuffer panels_;
};

}  // namespace mantissa
