#pragma once

// Eight floats as GCC and clang lower them to each instruction set: the same
// operations in the same order everywhere, so the same bits. Only C headers
// here: instruction-set files include this.
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "kernels/decode_ops_args.h"

namespace mantissa::kernels {
namespace {

constexpr int64_t kLanes = 8;

typedef float Floats __attribute__((vector_size(32)));
typedef int32_t Ints __attribute__((vector_size(32)));
typedef uint16_t Halves __attribute__((vector_size(16)));

inline Floats load(const float* p) {
  Floats out;
  memcpy(&out, p, sizeof(out));
  return out;
}

inline void store(float* p, Floats v) { memcpy(p, &v, sizeof(v)); }

inline Floats load_bf16(const uint16_t* p) {
  Halves half;
  memcpy(&half, p, sizeof(half));
  const Ints wide = __builtin_convertvector(half, Ints) << 16;
  Floats out;
  memcpy(&out, &wide, sizeof(out));
  return out;
}

template <Element kElement>
inline Floats load_cached(const void* rows, int64_t i) {
  if constexpr (kElement == Element::F32) {
    return load(static_cast<const float*>(rows) + i);
  } else {
    return load_bf16(static_cast<const uint16_t*>(rows) + i);
  }
}

inline Floats splat(float v) { return Floats{} + v; }

// Halves added to halves.
inline float sum(Floats v) {
  float lanes[kLanes];
  store(lanes, v);
  for (int64_t width = kLanes / 2; width > 0; width /= 2) {
    for (int64_t i = 0; i < width; ++i) lanes[i] += lanes[i + width];
  }
  return lanes[0];
}

// exp(x) within 2 units in the last place for x in [-87, 88], below that 0,
// above that infinity, NaN for NaN: 2^n * p(r), x = n ln 2 + r; the polynomial
// is Taylor's.
inline Floats exponential(Floats x) {
  const Ints gone = x <= splat(-87.0f);
  const Ints over = x > splat(88.0f);
  x = (gone | over) ? splat(0.0f) : x;
  const Floats shift = splat(12582912.0f);  // 1.5 * 2^23: rounds to an integer
  const Floats n = (x * 1.44269504f + shift) - shift;
  const Floats r = (x - n * 0.693359375f) - n * -2.12194440e-4f;
  Floats p = splat(1.0f / 5040.0f);
  p = p * r + 1.0f / 720.0f;
  p = p * r + 1.0f / 120.0f;
  p = p * r + 1.0f / 24.0f;
  p = p * r + 1.0f / 6.0f;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  const Ints bits = (__builtin_convertvector(n, Ints) + 127) << 23;
  Floats power;
  memcpy(&power, &bits, sizeof(power));
  const Floats y = gone ? splat(0.0f) : p * power;
  return over ? splat(INFINITY) : y;
}

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

template <Element kElement>
inline float score(const AttendOneArgs& args, const void* key, int64_t at) {
  Floats even = {};
  Floats odd = {};
  for (int64_t d = 0; d < args.head_dim; d += 2 * kLanes) {
    even += load(args.q + d) * load_cached<kElement>(key, at + d);
    odd +=
        load(args.q + d + kLanes) * load_cached<kElement>(key, at + d + kLanes);
  }
  const float s = sum(even + odd) * args.scale;
  return args.cap > 0 ? tanhf(s / args.cap) * args.cap : s;
}

// Scores in place become exp(score - most); returns their sum.
inline float soften(float* scores, int64_t count, float most) {
  Floats total = {};
  // Lanes behind the end add nothing.
  for (int64_t i = count; i % kLanes != 0; ++i) scores[i] = -INFINITY;
  for (int64_t i = 0; i < count; i += kLanes) {
    const Floats e = exponential(load(scores + i) - most);
    store(scores + i, e);
    total += e;
  }
  return sum(total);
}

// kParts registers of the output, from value `d` of the head on.
template <Element kElement, int kParts>
inline void weigh_values(const AttendOneArgs& args, int64_t d, float scale) {
  Floats out[kParts];
  for (int p = 0; p < kParts; ++p) {
    out[p] = load(args.value + d + p * kLanes) * args.scores[args.count];
  }
  for (int64_t j = 0; j < args.count; ++j) {
    const int64_t at = j * args.head_dim + d;
    for (int p = 0; p < kParts; ++p) {
      out[p] +=
          load_cached<kElement>(args.values, at + p * kLanes) * args.scores[j];
    }
  }
  for (int p = 0; p < kParts; ++p) {
    store(args.out + d + p * kLanes, out[p] * scale);
  }
}

template <Element kElement>
inline void attend_one_of(const AttendOneArgs& args) {
  const int64_t dim = args.head_dim;
  float most = score<Element::F32>(args, args.key, 0);
  args.scores[args.count] = most;
  for (int64_t j = 0; j < args.count; ++j) {
    const float s = score<kElement>(args, args.keys, j * dim);
    args.scores[j] = s;
    // NaN stays in the scores and spoils the sum.
    most = s > most ? s : most;
  }
  const float total = soften(args.scores, args.count + 1, most);
  int64_t d = 0;
  for (; d + 8 * kLanes <= dim; d += 8 * kLanes) {
    weigh_values<kElement, 8>(args, d, 1.0f / total);
  }
  for (; d < dim; d += 2 * kLanes) {
    weigh_values<kElement, 2>(args, d, 1.0f / total);
  }
}

inline void attend_one_loop(const AttendOneArgs& args) {
  if (args.cache == Element::Bf16) {
    attend_one_of<Element::Bf16>(args);
  } else {
    attend_one_of<Element::F32>(args);
  }
}

inline float gelu(float x) {
  return 0.5f * x * (1.0f + erff(x * 0.707106781f));
}

inline float gelu_tanh(float x) {
  const float inner = 0.797884561f * (x + 0.044715f * x * x * x);
  return 0.5f * x * (1.0f + tanhf(inner));
}

inline void gate_loop(const GateArgs& args) {
  if (args.activation != GateActivation::Silu) {
    const bool tanh = args.activation == GateActivation::GeluTanh;
    for (int64_t i = 0; i < args.size; ++i) {
      const float x = args.gate[i];
      args.gate[i] = (tanh ? gelu_tanh(x) : gelu(x)) * args.up[i];
    }
    return;
  }
  for (int64_t i = 0; i < args.size; i += kLanes) {
    float g[kLanes] = {};
    float u[kLanes] = {};
    const int64_t left = args.size - i;
    const auto bytes =
        static_cast<size_t>(left < kLanes ? left : kLanes) * sizeof(float);
    memcpy(g, args.gate + i, bytes);
    memcpy(u, args.up + i, bytes);
    const Floats x = load(g);
    const Floats y = x / (exponential(-x) + 1.0f) * load(u);
    memcpy(args.gate + i, &y, bytes);
  }
}

template <Element kElement>
inline void rows_by_vector_of(const RowsByVectorArgs& args) {
  for (int64_t j = args.begin; j < args.end; ++j) {
    const int64_t at = j * args.size;
    Floats even = {};
    Floats odd = {};
    for (int64_t k = 0; k < args.size; k += 2 * kLanes) {
      even += load_cached<kElement>(args.w, at + k) * load(args.x + k);
      odd += load_cached<kElement>(args.w, at + k + kLanes) *
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
