#pragma once

#include <cstdint>
#include <optional>

#include <ATen/core/Tensor.h>

#include <mantissa/core/api.h>

namespace mantissa {

/// What torchao's qscaled_dot_product takes beside query, key and value. Each
/// tensor has one scale and one zero point: x = (code - zp) * scale; a: the
/// probabilities, o: the output.
struct QScaledDotProductOptions {
  /// float32 or bfloat16, added to the scores; rank 2 or 4, each dimension that
  /// of the scores [B, H, T, S] or 1.
  std::optional<at::Tensor> attn_mask = {};
  double dropout_p = 0.0;            ///< 0 only
  bool is_causal = false;            ///< false only
  std::optional<double> scale = {};  ///< of the scores; 1 / sqrt(K) if empty
  double q_scale = 1.0;              ///< 2^-126 or more, as all scales
  std::int64_t q_zp = 0;             ///< 0 to 255, as all zero points
  double k_scale = 1.0;
  std::int64_t k_zp = 0;
  double v_scale = 1.0;
  std::int64_t v_zp = 0;
  double a_scale = 1.0;
  std::int64_t a_zp = 0;
  double o_scale = 1.0;
  std::int64_t o_zp = 0;
};

/// Attention of quantized tensors: query [B, H, T, K], key and value
/// [B, H, S, K], all uint8, or all float8_e4m3fn with zero points 0. With P the
/// softmax of (query * key^T) * scale + attn_mask over decoded values, the
/// codes of P (uint8: clamp(round_half_even(P / a_scale) + a_zp, 0, 255);
/// float8: P / a_scale) are decoded and multiplied with value, and the result
/// gets codes by o_scale and o_zp in the same way: [B, H, T, K] of the same
/// dtype, in memory [B, T, H, K]. The definition is torchao's.
///
/// uint8 on a CPU has kernels of its own (op "attention_int8") with exact
/// integer sums; the same bytes on every machine and with any number of
/// threads. A row whose softmax is NaN (the mask is -infinity everywhere, or
/// holds NaN or infinity) has codes 0, for float8 NaN. float8, and uint8 on
/// other devices, run on ATen with decoded values. Throws c10::ValueError,
/// c10::TypeError, c10::NotImplementedError naming the argument.
MANTISSA_API at::Tensor qscaled_dot_product(
    const at::Tensor& query,
    const at::Tensor& key,
    const at::Tensor& value,
    const QScaledDotProductOptions& options = {});

}  // namespace mantissa
