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

/// One head's attention of one query: softmax over the keys that it sees, the
/// last of which is not in the cache yet.
struct AttendOneArgs {
  const float* q = nullptr;      ///< [head_dim]
  const void* keys = nullptr;    ///< [count, head_dim] of `cache`
  const void* values = nullptr;  ///< [count, head_dim] of `cache`
  Element cache = Element::F32;  ///< or Bf16
  const float* key = nullptr;    ///< [head_dim], the query's own
  const float* value = nullptr;  ///< [head_dim]
  int64_t count = 0;
  int64_t head_dim = 0;  ///< a multiple of 16
  float scale = 1;
  float cap = 0;            ///< tanh(score / cap) * cap; 0: none
  float* scores = nullptr;  ///< [count + 16] scratch
  float* out = nullptr;     ///< [head_dim]
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
void attend_one_ref(const AttendOneArgs& args);
void gate_ref(const GateArgs& args);
void rows_by_vector_ref(const RowsByVectorArgs& args);
void rms_norm_avx2(const RmsNormArgs& args);
void attend_one_avx2(const AttendOneArgs& args);
void gate_avx2(const GateArgs& args);
void rows_by_vector_avx2(const RowsByVectorArgs& args);
void rms_norm_avx512(const RmsNormArgs& args);
void attend_one_avx512(const AttendOneArgs& args);
void gate_avx512(const GateArgs& args);
void rows_by_vector_avx512(const RowsByVectorArgs& args);

}  // namespace mantissa::kernels
