#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

namespace mantissa {

/// What causal attention is of, beside its tensors.
struct CausalAttention {
  std::int64_t window =
      0;             ///< positions that a query sees, its own too; 0: all
  double scale = 1;  ///< of scores
  double cap = 0;    ///< cap * tanh(score / cap); 0: none
};

/// Whether attention_bf16() takes these here: at least six queries, q float32
/// or bfloat16, k and v bfloat16, all on the CPU and not differentiable, on a
/// processor with AVX-512 BF16.
bool takes_attention_bf16(const at::Tensor& q,
                          const at::Tensor& k,
                          const at::Tensor& v,
                          const CausalAttention& options);

/// Causal grouped-query attention of q [B, heads, T, head_dim], the last T of N
/// positions, over k and v [B, kv_heads, N, head_dim], in q's dtype with the
/// heads of a position behind each other ([B, T, heads, head_dim] in memory).
/// Queries and weights are rounded to bfloat16, sums are float32
/// (kernels/attention_bf16_args.h). The same bytes for any number of threads.
at::Tensor attention_bf16(const at::Tensor& q,
                          const at::Tensor& k,
                          const at::Tensor& v,
                          const CausalAttention& options);

}  // namespace mantissa
