#pragma once

// Only C headers here: instruction-set files include this.
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "kernels/cpu/generic_lanes.h"
#include "kernels/decode_ops_args.h"

namespace mantissa::kernels {
namespace {

inline void rms_norm_loop(const RmsNormArgs& args) {
  const int64_t whole = args.size / kLanes * kLanes;
  Floats squares = {};
  for (int64_t i = 0; i < whole; i += kLanes) {
    const Floats v = load(args.x + i);
    squares += v * v;
  }
  float total = sum(squares);
  for (int64_t i = whole; i < args.size; ++i) total += args.x[i] * args.x[i];
  const float factor =
      1.0f / sqrtf(total / static_cast<float>(args.size) + args.eps);
  const float offset = args.one_plus ? 1.0f : 0.0f;
  for (int64_t i = 0; i < whole; i += kLanes) {
    store(args.y + i,
          load(args.x + i) * factor * (load(args.weight + i) + offset));
  }
  for (int64_t i = whole; i < args.size; ++i) {
    args.y[i] = args.x[i] * factor * (args.weight[i] + offset);
  }
}

inline void rotate_loop(const RotateArgs& args) {
  const int64_t half = args.size / 2;
  float* low = args.x;
  float* high = args.x + half;
  int64_t i = 0;
  for (; i + kLanes <= half; i += kLanes) {
    const Floats a = load(low + i);
    const Floats b = load(high + i);
    store(low + i, a * load(args.cos + i) - b * load(args.sin + i));
    store(high + i,
          b * load(args.cos + half + i) + a * load(args.sin + half + i));
  }
  for (; i < half; ++i) {
    const float a = low[i];
    const float b = high[i];
    low[i] = a * args.cos[i] - b * args.sin[i];
    high[i] = b * args.cos[half + i] + a * args.sin[half + i];
  }
}

inline float gelu(float x) {
  return 0.5f * x * (1.0f + erff(x * 0.707106781f));
}

inline float gelu_tanh(float x) {
  const float inner = 0.797884561f * (x + 0.044715f * x * x * x);
  return 0.5f * x * (1.0f + tanhf(inner));
}

inline Floats silu(Floats x) { return x / (exponential(-x) + 1.0f); }

inline void gate_loop(const GateArgs& args) {
  if (args.activation != GateActivation::Silu) {
    const bool tanh = args.activation == GateActivation::GeluTanh;
    for (int64_t i = 0; i < args.size; ++i) {
      const float x = args.gate[i];
      args.gate[i] = (tanh ? gelu_tanh(x) : gelu(x)) * args.up[i];
    }
    return;
  }
  int64_t i = 0;
  for (; i + kLanes <= args.size; i += kLanes) {
    store(args.gate + i, silu(load(args.gate + i)) * load(args.up + i));
  }
  if (i == args.size) return;
  float g[kLanes] = {};
  float u[kLanes] = {};
  const auto bytes = static_cast<size_t>(args.size - i) * sizeof(float);
  memcpy(g, args.gate + i, bytes);
  memcpy(u, args.up + i, bytes);
  store(g, silu(load(g)) * load(u));
  memcpy(args.gate + i, g, bytes);
}

template <Element kElement>
inline Floats load_weight(const void* rows, int64_t i) {
  if constexpr (kElement == Element::F32) {
    return load(static_cast<const float*>(rows) + i);
  } else {
    return load_bf16(static_cast<const uint16_t*>(rows) + i);
  }
}

template <Element kElement>
inline void rows_by_vector_of(const RowsByVectorArgs& args) {
  for (int64_t j = args.begin; j < args.end; ++j) {
    const int64_t at = j * args.size;
    Floats even = {};
    Floats odd = {};
    for (int64_t k = 0; k < args.size; k += 2 * kLanes) {
      even += load_weight<kElement>(args.w, at + k) * load(args.x + k);
      odd += load_weight<kElement>(args.w, at + k + kLanes) *
             load(args.x + k + kLanes);
    }
    args.y[j] = sum(even + odd);
  }
}

inline void rows_by_vector_loop(const RowsByVectorArgs& args) {
  if (args.type == Element::Bf16) {
    rows_by_vector_of<Element::Bf16>(args);
  } else {
    rows_by_vector_of<Element::F32>(args);
  }
}

}  // namespace
}  // namespace mantissa::kernels
