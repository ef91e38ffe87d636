#pragma once

// Only C headers here: instruction-set files include this.
#include <math.h>
#include <stdint.h>

#include "kernels/attention_heads.h"

namespace mantissa::kernels {

/// Causal attention over keys and values of bfloat16:
///   s[i, j] = (sum over d of bf16(q[i, d]) * k[j, d]) * scale
///   s = cap * tanh(s / cap) where cap > 0
///   w[i, j] = bf16(exp(s[i, j] - m)) for some m near the row's largest s
///   out[i, d] = (sum over j of w[i, j] * v[j, d]) / (sum over j of w[i, j])
/// over the keys j that query i sees: with p = keys - queries + i its position,
/// those from p - window + 1 (window 0: from 0) to p. Sums are float32, in any
/// order; subnormal numbers may count as 0. A query that sees NaN or infinity
/// is not finite, and one that sees no such value may not be if it lies within
/// kAttentionPanel positions of one that does.
struct AttentionBf16Args {
  const float* q = nullptr;
  const uint16_t* k = nullptr;
  const uint16_t* v = nullptr;
  float* out = nullptr;
  AttentionStrides q_strides;
  AttentionStrides k_strides;  ///< heads are those of keys
  AttentionStrides v_strides;
  AttentionStrides out_strides;
  int64_t heads = 0;
  int64_t kv_heads = 0;  ///< divides heads
  int64_t queries = 0;
  int64_t keys = 0;  ///< at least queries
  int64_t head_dim = 0;
  int64_t window = 0;
  float scale = 1;  ///< above 0
  float cap = 0;
};

/// Keys that are packed together.
inline constexpr int64_t kAttentionPanel = 64;
/// Queries that kernels compute together: a row of the table says how many.
inline constexpr int kAttentionVectorTile = 6;
inline constexpr int kAttentionAmxTile = 32;
/// Head dimensions that a thread's stack has room for.
inline constexpr int64_t kAttentionBf16HeadDim = 512;

static inline int64_t attention_panels(int64_t keys) {
  return (keys + kAttentionPanel - 1) / kAttentionPanel;
}

/// Bytes of the packed keys and values of one head, in any row's layout.
static inline int64_t attention_bf16_bytes(int64_t keys, int64_t head_dim) {
  const int64_t dim = (head_dim + 31) / 32 * 32;
  return attention_panels(keys) * kAttentionPanel * dim * 4;
}

/// The first key that a query at `position` sees.
static inline int64_t first_seen(const AttentionBf16Args& args,
                                 int64_t position) {
  const int64_t first = args.window > 0 ? position - args.window + 1 : 0;
  return first > 0 ? first : 0;
}

// pack_: panels [begin, end) of a head of keys and values, as `attend` reads
// them, into `packed` [attention_bf16_bytes()], which lies at a multiple of 64
// bytes. attend_: queries [begin, end) of a head of queries, whose head of keys
// is packed.

void pack_attention_bf16_ref(const AttentionBf16Args& args,
                             const AttentionHead& kv_head,
                             int64_t begin,
                             int64_t end,
                             void* packed);
void attend_bf16_ref(const AttentionBf16Args& args,
                     const AttentionHead& head,
                     int64_t begin,
                     int64_t end,
                     const void* packed);
void pack_attention_bf16_avx512bf16(const AttentionBf16Args& args,
                                    const AttentionHead& kv_head,
                                    int64_t begin,
                                    int64_t end,
                                    void* packed);
void attend_bf16_avx512bf16(const AttentionBf16Args& args,
                            const AttentionHead& head,
                            int64_t begin,
                            int64_t end,
                            const void* packed);
void pack_attention_bf16_amx(const AttentionBf16Args& args,
                             const AttentionHead& kv_head,
                             int64_t begin,
                             int64_t end,
                             void* packed);
void attend_bf16_amx(const AttentionBf16Args& args,
                     const AttentionHead& head,
                     int64_t begin,
                     int64_t end,
                     const void* packed);

}  // namespace mantissa::kernels
