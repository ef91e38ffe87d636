#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <variant>
#include <vector>

#include <ATen/core/Tensor.h>

#include <mantissa/torch/int8_compute.h>

#include "formats/lowbit_weight.h"
#include "kernels/grouped_lowbit.h"
#include "kernels/lowbit_activations.h"

namespace mantissa {

/// x [.., K] (float32, bfloat16 or float16, on the CPU) times the transposed
/// weight [N, K] in its runtime layout, plus bias [N], which may be undefined:
/// [.., N] in x's dtype. x is quantized to int8 as `activation` says: sums of
/// codes are exact, the scales are applied in float32
/// (kernels/linear_lowbit_args.h), and a row with NaN or infinity gives a row
/// of NaN. Int8Compute::Float multiplies x in float32 with the values
/// that the format decodes to (kernels/linear_lowbit_float_args.h); bfloat16 x,
/// where this machine has AVX-512 BF16, with the codes, scaled afterwards
/// (kernels/linear_lowbit_bf16_args.h). Throws
/// c10::ValueError, c10::TypeError naming the argument.
at::Tensor linear_lowbit(const at::Tensor& x,
                         const LowbitWeight& weight,
                         const at::Tensor& bias,
                         Int8Compute activation);

/// x of linear_lowbit, quantized or arranged once for products with several
/// weights, which give the same bits as linear_lowbit for each.
class LowbitInput {
 public:
  /// With `ends`, one or more, for weights of as many parts [E, N, K], experts
  /// or their matrices: rows [ends[e - 1], ends[e]) of x [T, K], T =
  /// ends.back(), for part e. Throws c10::ValueError, c10::TypeError as
  /// linear_lowbit.
  LowbitInput(const at::Tensor& x,
              Int8Compute activation,
              std::vector<std::int64_t> ends = {});

  /// Of parts: [T, N], each row as linear_lowbit gives it for its part alone.
  at::Tensor linear(const LowbitWeight& weight, const at::Tensor& bias) const;

 private:
  at::Tensor x_;
  std::vector<std::int64_t> ends_;  // of all rows without parts
  // Of each part.
  std::variant<std::vector<kernels::LowbitActivationBuffer>,
               std::vector<kernels::LowbitFloatBuffer>,
               std::vector<kernels::LowbitBf16Buffer>>
      rows_;
};

/// Calls with i and columns: product i has made them.
using CodesBehind = std::function<void(std::size_t, kernels::LowbitColumns)>;

/// Each y[i, j] = sum over k of x's codes times w's codes, exact before it is
/// rounded to float32, for 8-bit codes and K up to kernels::kLowbitExact, on
/// the threads of ATen's pool. The scales of both, one each row, are all 1; x
/// has rows. The thread that made columns of a product calls `behind`.
void multiply_codes(std::span<const kernels::LinearLowbitArgs> products,
                    const CodesBehind& behind);

/// A weight's fields on the CPU in the runtime layout, packed by the threads of
/// ATen's pool.
std::shared_ptr<const LowbitWeight> pack_lowbit_weight(
    const std::shared_ptr<const Encoding>& encoding,
    const std::vector<at::Tensor>& fields);

/// Whether Int8Compute::Float multiplies x of this dtype in bfloat16, here.
bool multiplies_bf16(c10::ScalarType type);

/// The dtype that a weight decodes to, for LinearLowbitFloatArgs::values.
kernels::LowbitScale decoded_type(const LowbitWeight& weight);

/// Room of `bytes`, what a kernel's workspace_bytes() says for one thread, for
/// the calling thread's kernels; the next call may give the same room. One row
/// of int8 activations needs none.
void* lowbit_workspace(std::int64_t bytes = 0);

}  // namespace mantissa
