#pragma once

// Eight floats as GCC and clang lower them to each instruction set: the same
// operations in the same order everywhere, so the same bits. Only C headers
// here: instruction-set files include this.
#include <math.h>
#include <stdint.h>
#include <string.h>

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

}  // namespace
}  // namespace mantissa::kernels
