#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include <ATen/core/Tensor.h>

#include "formats/lowbit_weight.h"
#include "kernels/linear_lowbit.h"
#include "kernels/lowbit_activations.h"
#include "torch/ops/linear_int8.h"

namespace mantissa {

/// A weight of linear_int8() on the CPU in the runtime layout of linear_lowbit,
/// and what stands around its products. Experts, or matrices, stand one behind
/// the other.
class Int8Weight {
 public:
  /// `codes`: int8, K up to kernels::kLowbitExact. `qdata`: what was packed,
  /// [.., N, K]. `scale`: float32, one value, or in each dimension of `qdata`
  /// but the last as many as divide it; dimensions that it lacks are 1.
  Int8Weight(std::shared_ptr<const LowbitWeight> codes,
             const at::Tensor& scale,
             const at::Tensor& qdata);

  const Encoding& encoding() const { return *codes_->encoding(); }
  /// Without scales: all are 1.
  const kernels::LowbitWeightView& view() const { return view_; }
  std::int64_t columns() const { return codes_->layout().k; }
  /// Float32, one value or one for each row.
  const at::Tensor& scale() const { return scale_; }
  const float* sums() const { return sums_.const_data_ptr<float>(); }

 private:
  std::shared_ptr<const LowbitWeight> codes_;
  at::Tensor scale_;
  at::Tensor sums_;  // float32: of each row's codes
  at::Tensor ones_;  // bfloat16 [tiles * 16]
  kernels::LowbitWeightView view_;
};

/// x of linear_int8(), quantized and arranged once for products with several
/// packed weights.
class Int8Input {
 public:
  Int8Input() = default;
  /// As take().
  Int8Input(const at::Tensor& x,
            const Int8Activation& activation,
            std::vector<std::int64_t> ends = {}) {
    take(x, activation, std::move(ends));
  }

  /// x [.., K] on the CPU, in the memory of the x before it; without rows there
  /// is nothing to be multiplied. With `ends`, one or more, for weights of as
  /// many parts [E, N, K], experts or their matrices: rows [ends[e - 1],
  /// ends[e]) of x [T, K], T = ends.back(), for part e, quantized as a call of
  /// their own.
  void take(const at::Tensor& x,
            const Int8Activation& activation,
            std::vector<std::int64_t> ends = {});

  /// linear_int8() with such a weight, to the bit; of parts [T, N], each with
  /// its part of `bias`, [E * N] or undefined. Throws as it does.
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
  // Rows of x that one part of a weight multiplies.
  struct Part {
    std::int64_t index = 0;
    std::int64_t begin = 0;
    std::int64_t count = 0;
    kernels::LowbitActivationBuffer panels = {};
  };

  void arrange();

  at::Tensor x_;
  Int8Activation activation_;
  std::vector<std::int64_t> ends_;  // empty: one part
  Int8Rows rows_;
  std::vector<Part> parts_;  // the first used_, those that have rows
  std::size_t used_ = 0;
};

}  // namespace mantissa
