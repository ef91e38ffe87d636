#pragma once

// Only C headers here: instruction-set files include this.
#include <stdint.h>

#include "kernels/attention_heads.h"

namespace mantissa::kernels {

/// Attention of uint8 codes with one scale and zero point each tensor, every
/// sum of products exact:
///   S[i, j] = (sum over d of (q[i, d] - q_zero) * (k[j, d] - k_zero))
///             * score_scale + mask[i, j]
///   e[i, j] = exp(S[i, j] - (the row's largest S))
///   P[i, j] = min(rne(e[i, j] / ((sum over j of e) * a_scale)) + a_zero, 255)
///   out[i, d] = clamp(rne((sum over j of (P - a_zero) * (v[j, d] - v_zero))
///               * out_scale) + o_zero, 0, 255)
/// in float32, rounded as kernels/reference/attention_int8.cpp rounds; rne
/// rounds half to even. A row whose sum of e is NaN (all of it is masked by
/// -infinity, or a mask holds NaN or infinity) has codes 0.
struct AttentionInt8Args {
  const uint8_t* q = nullptr;
  const uint8_t* k = nullptr;
  const uint8_t* v = nullptr;
  const float* mask = nullptr;  ///< positions are queries, rows keys; or null
  uint8_t* out = nullptr;
  AttentionStrides q_strides;
  AttentionStrides k_strides;
  AttentionStrides v_strides;
  AttentionStrides mask_strides;  ///< 0 where it is the same for all
  AttentionStrides out_strides;
  int64_t heads = 0;
  int64_t queries = 0;
  int64_t keys = 0;  ///< 1 or more
  int64_t head_dim = 0;
  // 0 to 255
  int32_t q_zero = 0;
  int32_t k_zero = 0;
  int32_t v_zero = 0;
  int32_t a_zero = 0;
  int32_t o_zero = 0;
  float score_scale = 1;  ///< scale of q * scale of k * 1 / sqrt(head_dim)
  double a_scale = 1;     ///< 2^-126 or more
  float out_scale = 1;    ///< a_scale * scale of v / scale of out
};

/// Queries that one call of a kernel takes at most.
inline constexpr int64_t kAttentionRows = 24;
/// Head dimensions up to which scores of a query, and their differences, fit an
/// int32: 255^2 * 2^15 < 2^31.
inline constexpr int64_t kAttentionHeadDim = int64_t{1} << 15;
/// Keys up to which sums of values fit an int32, alike. Sums of more keys are
/// added in float64, exactly.
inline constexpr int64_t kAttentionSegment = int64_t{1} << 15;

static inline int64_t attention_whole(int64_t count, int64_t unit) {
  return (count + unit - 1) / unit * unit;
}

/// What a thread's memory holds, as bytes from its start: a head's keys and
/// values as the kernel's products read them, and the rows that are computed.
struct AttentionScratch {
  int64_t keys = 0;         ///< codes of keys, 16 columns at least
  int64_t values = 0;       ///< codes of values
  int64_t key_start = 0;    ///< int32 [keys]
  int64_t value_start = 0;  ///< int32 [segments, head_dim]
  int64_t row_start = 0;    ///< int32 [segments, rows]
  int64_t queries = 0;      ///< codes [rows, head_dim]
  int64_t scores = 0;       ///< int32, then float [rows, keys]
  int64_t codes = 0;        ///< codes of probabilities [rows, keys]
  int64_t sums = 0;         ///< int32, then float [rows, head_dim]
  int64_t totals = 0;       ///< double [rows, head_dim]
  int64_t bytes = 0;        ///< all of it; starts at a multiple of 64
};

static inline AttentionScratch attention_scratch(int64_t keys,
                                                 int64_t head_dim) {
  const int64_t code = 2;  // bytes of the widest
  const int64_t n = attention_whole(keys, 64);
  const int64_t d = attention_whole(head_dim, 64);
  const int64_t segments = (keys + kAttentionSegment - 1) / kAttentionSegment;
  AttentionScratch at;
  at.values = n * d * code;
  at.key_start = at.values + n * d * code;
  at.value_start = at.key_start + n * 4;
  at.row_start = at.value_start + segments * d * 4;
  at.queries =
      at.row_start + attention_whole(segments * kAttentionRows, 16) * 4;
  at.scores = at.queries + kAttentionRows * d * code;
  at.codes = at.scores + kAttentionRows * n * 4;
  at.sums = at.codes + kAttentionRows * n * code;
  at.totals = at.sums + kAttentionRows * d * 4;
  at.bytes = at.totals + (segments > 1 ? kAttentionRows * d * 8 : 0);
  return at;
}

// prepare_: a head's keys and values into `scratch`, which lies at a multiple
// of 64 bytes and has attention_scratch().bytes. attend_: queries [begin, end)
// of that head, kAttentionRows at most.

void prepare_attention_int8_ref(const AttentionInt8Args& args,
                                const AttentionHead& head,
                                void* scratch);
void attend_int8_ref(const AttentionInt8Args& args,
                     const AttentionHead& head,
                     int64_t begin,
                     int64_t end,
                     void* scratch);
void prepare_attention_int8_avx2(const AttentionInt8Args& args,
                                 const AttentionHead& head,
                                 void* scratch);
void attend_int8_avx2(const AttentionInt8Args& args,
                      const AttentionHead& head,
                      int64_t begin,
                      int64_t end,
                      void* scratch);
void prepare_attention_int8_avx512vnni(const AttentionInt8Args& args,
                                       const AttentionHead& head,
                                       void* scratch);
void attend_int8_avx512vnni(const AttentionInt8Args& args,
                            const AttentionHead& head,
                            int64_t begin,
                            int64_t end,
                            void* scratch);

}  // namespace mantissa::kernels
