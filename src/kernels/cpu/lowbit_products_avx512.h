#pragma once

// What the AVX-512 VNNI files of linear_lowbit share beside codes and scales:
// products and results. Only C headers here.
#include <immintrin.h>

#include "kernels/cpu/lowbit_units_avx512.h"

namespace mantissa::kernels {
namespace {

// Codes are the unsigned operand of vpdpbusd, activations the signed one: exact
// sums, no saturation.

// Keeps GCC from copying sums between registers.
inline void pin(__m512i& sum) { __asm__("" : "+v"(sum)); }

inline __m512i broadcast(const int8_t* four) {
  return _mm512_set1_epi32(load_i32(four));
}

// acc [16 columns] of a row, columns j ..: scaled, shifted, stored.
inline void finish(const LinearLowbitArgs& args,
                   int64_t panel,
                   int64_t row,
                   int64_t j,
                   __m512 acc) {
  const LowbitActivations& x = args.x;
  const int64_t i = panel * x.panel + row;
  const __mmask16 mask = columns_at(args.w.n, j);
  if (i >= x.m || mask == 0) return;
  if (x.group == 0) {
    if (x.zeros != nullptr) {
      acc = _mm512_fnmadd_ps(
          _mm512_set1_ps(x.zeros[i]), _mm512_loadu_ps(args.w.sums + j), acc);
    }
    const __m512 scale = _mm512_set1_ps(x.scales[i]);
    acc = args.bias != nullptr
              ? _mm512_fmadd_ps(
                    acc, scale, _mm512_maskz_loadu_ps(mask, args.bias + j))
              : _mm512_mul_ps(acc, scale);
  } else if (args.bias != nullptr) {
    acc = _mm512_add_ps(acc, _mm512_maskz_loadu_ps(mask, args.bias + j));
  }
  _mm512_mask_storeu_ps(args.y + i * args.y_stride + j, mask, acc);
}

// The sum of x over a segment, with its scale, times the offsets behind it.
inline __m512 add_offset(__m512 acc,
                         int32_t sum,
                         float x_scale,
                         __m512 offsets) {
  return _mm512_fmadd_ps(
      _mm512_set1_ps(static_cast<float>(sum) * x_scale), offsets, acc);
}

}  // namespace
}  // namespace mantissa::kernels
