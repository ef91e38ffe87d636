#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <ATen/core/Tensor.h>

#include <mantissa/core/enums.h>

#include "kernels/linear_int8_args.h"
#include "torch/ops/quantize_rows.h"

namespace torch {
class Library;
}

namespace mantissa {

/// How x becomes int8 in linear_int8().
struct Int8Activation {
  bool per_tensor = false;  ///< one scale; else one for each row
  MappingType mapping = MappingType::Symmetric;  ///< or Asymmetric
  bool reduce_range = false;                     ///< codes in [-64, 63]
  /// Static quantization: float32, one value or one for each row. Undefined:
  /// found in the call.
  at::Tensor scale = {};
  /// Whole numbers, as many as `scale`s may be, in [-256, 256] (not checked on
  /// a GPU); undefined: 0.
  at::Tensor zero_point = {};
  RowFormula formula = RowFormula::Torchao;
};

/// x [.., K] (float32, bfloat16 or float16), quantized as torchao's
/// Int8Tensor.from_hp does, or by the formula of compressed-tensors (full range
/// only; a given scale is one of x's dtype), times the transposed codes qdata
/// int8 [N, K], whose `scale` (float32) has one value or one for each row, plus
/// bias [N], which may be undefined: [.., N] of `out_dtype`. Integer sums are
/// exact for every M, N and K; the rest is rounded as torchao rounds it
/// (kernels/linear_int8). Without columns (K = 0) the result is the bias or 0,
/// as at::linear's. A row with NaN or infinity gives NaN where its scale is
/// found in the call; with a given scale infinity has the largest code, and NaN
/// the code 0 as in torchao, but by the formula of compressed-tensors it spoils
/// its row. Throws c10::ValueError, c10::TypeError naming the
/// argument.
at::Tensor linear_int8(const at::Tensor& x,
                       const at::Tensor& qdata,
                       const at::Tensor& scale,
                       const at::Tensor& bias,
                       const Int8Activation& activation,
                       c10::ScalarType out_dtype);

/// The same by ATen operators, on any device: what runs on a GPU.
at::Tensor linear_int8_by_aten(const at::Tensor& x,
                               const at::Tensor& qdata,
                               const at::Tensor& scale,
                               const at::Tensor& bias,
                               const Int8Activation& activation,
                               c10::ScalarType out_dtype);

/// What linear_int8() asks of its arguments with a weight [n, k]; throws.
void check_linear_int8(const at::Tensor& x,
                       std::int64_t n,
                       std::int64_t k,
                       const at::Tensor& scale,
                       const at::Tensor& bias,
                       const Int8Activation& activation,
                       c10::ScalarType out_dtype);

/// x of linear_int8() on the CPU as int8 codes; rows, K > 0.
class Int8Rows {
 public:
  Int8Rows() = default;
  /// With `ends`, rows [ends[e - 1], ends[e]) of x are quantized as a call of
  /// their own.
  Int8Rows(const at::Tensor& x,
           const Int8Activation& activation,
           std::span<const std::int64_t> ends = {}) {
    take(x, activation, ends);
  }

  /// The same for another x, in the same memory.
  void take(const at::Tensor& x,
            const Int8Activation& activation,
            std::span<const std::int64_t> ends = {});

  std::int64_t rows() const { return m_; }
  std::int64_t columns() const { return k_; }
  const std::int8_t* codes() const { return codes_.codes.get(); }
  /// A kernel's arguments but w, w_sums and y: those of x, and of a weight
  /// [n, ..] with `scale` (contiguous) and `bias` (float, contiguous, or
  /// undefined), all of which outlive them.
  kernels::LinearInt8Args args(std::int64_t n,
                               const at::Tensor& scale,
                               const at::Tensor& bias) const;

 private:
  std::int64_t m_ = 0;
  std::int64_t k_ = 0;
  RowCodes codes_;
  std::vector<float> zero_points_;  // empty: symmetric
};

/// A bias as kernels read it, contiguous: of a dtype that is not float its
/// float32 values.
at::Tensor readable_bias(const at::Tensor& bias);

/// mantissa::linear_int8 for torch's dispatcher.
void define_linear_int8(torch::Library& library);

}  // namespace mantissa
