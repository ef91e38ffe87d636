#pragma once

// Sixteen lanes as GCC and clang lower them to each instruction set, and how
// units of four bytes change places in them. Only C headers here:
// instruction-set files include this.
#include <stdint.h>
#include <string.h>

namespace mantissa::kernels {
namespace {

typedef float Floats16 __attribute__((vector_size(64)));
typedef int32_t Ints16 __attribute__((vector_size(64)));
typedef uint16_t Words32 __attribute__((vector_size(64)));
typedef uint8_t Bytes64 __attribute__((vector_size(64)));

template <class V>
[[gnu::always_inline]] inline V load16(const void* from) {
  V out;
  memcpy(&out, from, sizeof(out));
  return out;
}

template <class V>
[[gnu::always_inline]] inline void store16(void* to, const V& v) {
  memcpy(to, &v, sizeof(v));
}

// Four vectors of rows become four of columns in each quarter: lane 4q + c of
// v[i] changes places with lane 4q + i of v[c].
[[gnu::always_inline]] inline void transpose_quarters(Ints16 (&v)[4]) {
#define MANTISSA_LOW32 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29
#define MANTISSA_HIGH32 \
  2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31
#define MANTISSA_LOW64 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29
#define MANTISSA_HIGH64 \
  2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31
  const Ints16 a = __builtin_shufflevector(v[0], v[1], MANTISSA_LOW32);
  const Ints16 b = __builtin_shufflevector(v[0], v[1], MANTISSA_HIGH32);
  const Ints16 c = __builtin_shufflevector(v[2], v[3], MANTISSA_LOW32);
  const Ints16 d = __builtin_shufflevector(v[2], v[3], MANTISSA_HIGH32);
  v[0] = __builtin_shufflevector(a, c, MANTISSA_LOW64);
  v[1] = __builtin_shufflevector(a, c, MANTISSA_HIGH64);
  v[2] = __builtin_shufflevector(b, d, MANTISSA_LOW64);
  v[3] = __builtin_shufflevector(b, d, MANTISSA_HIGH64);
#undef MANTISSA_LOW32
#undef MANTISSA_HIGH32
#undef MANTISSA_LOW64
#undef MANTISSA_HIGH64
}

// Quarters 0 and 2, or 1 and 3, of a, then of b.
[[gnu::always_inline]] inline Ints16 even_quarters(const Ints16& a,
                                                   const Ints16& b) {
  return __builtin_shufflevector(
      a, b, 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27);
}

[[gnu::always_inline]] inline Ints16 odd_quarters(const Ints16& a,
                                                  const Ints16& b) {
  return __builtin_shufflevector(
      a, b, 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31);
}

}  // namespace
}  // namespace mantissa::kernels
