#pragma once

// Only C headers here: instruction-set files include this.
#include <stdint.h>

#include "kernels/common/element.h"

namespace mantissa::kernels {

/// What a gated feed-forward block applies to its gate.
enum class GateActivation : uint8_t { Silu, Gelu, GeluTanh };

/// y = x / sqrt(mean(x^2) + eps) * weight, or (one_plus) * (1 + weight).
struct RmsNormArgs {
  const float* x = nullptr;       ///< [size]
  const float* weight = nullptr;  ///< [size]
  float* y = nullptr;             ///< [size]; may be x
  int64_t size = 0;
  float eps = 0;
  bool one_plus = false;
};

/// Rotary position embedding of one head in place, with h = size / 2:
/// x[i] = x[i] * cos[i] - x[i + h] * sin[i] and
/// x[i + h] = x[i + h] * cos[i + h] + x[i] * sin[i + h].
struct RotateArgs {
  float* x = nullptr;          ///< [size]
  const float* cos = nullptr;  ///< [size]
  const float* sin = nullptr;  ///< [size]
  int64_t size = 0;            ///< even
};

/// How a cache holds a key or a value of one head and position: its values in
/// float32 or bfloat16, or int8 codes with one float32 scale (symmetric).
enum class CacheType : uint8_t { F32, Bf16, I8 };

/// Rows of one head on their way into a cache. Bf16: rounded half to even, NaN
/// is 0x7fc0 with its sign. I8: scale = max(max|x| / 127, 2^-120), code =
/// x * (1 / scale) rounded half to even; a row with NaN or infinity gets the
/// scale NaN and codes 0.
struct StoreCachedArgs {
  const float* x = nullptr;  ///< [count, head_dim]
  void* rows = nullptr;      ///< [count, head_dim] of `cache`
  float* scales = nullptr;   ///< [count], of I8 alone
  CacheType cache = CacheType::F32;
  int64_t count = 0;
  int64_t head_dim = 0;
};

/// Positions that one call of attend_one takes at most.
inline constexpr int64_t kAttendBlock = 128;
/// Positions that are float32 at a time.
inline constexpr int64_t kAttendTile = 16;

/// Floats of a head's row: head_dim, rounded up to whole vectors.
static inline int64_t attend_stride(int64_t head_dim) {
  return (head_dim + 7) / 8 * 8;
}
/// Floats of AttendOneArgs::scratch for `heads` heads.
static inline int64_t attend_scratch(int64_t heads, int64_t head_dim) {
  return heads * (kAttendBlock + attend_stride(head_dim)) +
         kAttendTile * attend_stride(head_dim);
}
/// Floats of one of AttendOneArgs::parts.
static inline int64_t attend_part(int64_t head_dim) {
  return attend_stride(head_dim) + 2;
}

/// One query of the heads that share a key-value head, over a block of the
/// positions that it sees: of each head the sums of exp(score - most) * value,
/// then `most` and the sum of exp(score - most), for merge_parts.
struct AttendOneArgs {
  const float* q = nullptr;             ///< [heads, head_dim]
  const void* keys = nullptr;           ///< [count, head_dim] of `cache`
  const void* values = nullptr;         ///< [count, head_dim] of `cache`
  const float* key_scales = nullptr;    ///< [count], of I8 alone
  const float* value_scales = nullptr;  ///< [count], of I8 alone
  CacheType cache = CacheType::F32;
  int64_t heads = 1;
  int64_t count = 0;  ///< 1 to kAttendBlock
  int64_t head_dim = 0;
  float scale = 1;
  float cap = 0;             ///< tanh(score / cap) * cap; 0: none
  float* scratch = nullptr;  ///< [attend_scratch(heads, head_dim)]
  float* parts = nullptr;    ///< attend_part(head_dim) floats a head
  int64_t part_stride = 0;   ///< floats from one head's part to the next
};

/// A head's attention from the parts of its blocks, in ascending order.
struct MergePartsArgs {
  float* parts = nullptr;  ///< [count, attend_part(head_dim)]; overwritten
  int64_t count = 1;
  int64_t head_dim = 0;
  float* out = nullptr;  ///< [head_dim]
};

/// gate[i] = activation(gate[i]) * up[i].
struct GateArgs {
  float* gate = nullptr;
  const float* up = nullptr;
  int64_t size = 0;
  GateActivation activation = GateActivation::Silu;
};

/// y[j] = sum over k of w[j, k] * x[k] for rows [begin, end) of a plain weight,
/// in float32.
struct RowsByVectorArgs {
  const void* w = nullptr;       ///< [n, size] of `type`
  Element type = Element::Bf16;  ///< or F32
  const float* x = nullptr;      ///< [size]
  float* y = nullptr;            ///< [n]
  int64_t size = 0;              ///< a multiple of 16
  int64_t begin = 0;
  int64_t end = 0;
};

void rms_norm_ref(const RmsNormArgs& args);
void rotate_ref(const RotateArgs& args);
void store_cached_ref(const StoreCachedArgs& args);
void attend_one_ref(const AttendOneArgs& args);
void merge_parts_ref(const MergePartsArgs& args);
void gate_ref(const GateArgs& args);
void rows_by_vector_ref(const RowsByVectorArgs& args);

void rms_norm_avx2(const RmsNormArgs& args);
void rotate_avx2(const RotateArgs& args);
void store_cached_avx2(const StoreCachedArgs& args);
void attend_one_avx2(const AttendOneArgs& args);
void merge_parts_avx2(const MergePartsArgs& args);
void gate_avx2(const GateArgs& args);
void rows_by_vector_avx2(const RowsByVectorArgs& args);

void rms_norm_avx512(const RmsNormArgs& args);
void rotate_avx512(const RotateArgs& args);
void store_cached_avx512(const StoreCachedArgs& args);
void attend_one_avx512(const AttendOneArgs& args);
void merge_parts_avx512(const MergePartsArgs& args);
void gate_avx512(const GateArgs& args);
void rows_by_vector_avx512(const RowsByVectorArgs& args);

}  // namespace mantissa::kernels
