#pragma once

// Codes, scales and results of linear_lowbit in vectors of 8 columns, for its
// AVX2 files. Only C headers here.
#include <immintrin.h>

#include "kernels/cpu/lowbit_segments.h"

namespace mantissa::kernels {
namespace {

// A code is split in its low 4 bits and the rest, so that the 16-bit sums of
// vpmaddubsw cannot saturate: 8 units x 2 x 15 x 128 = 30720.

constexpr int kUnits = 8;
constexpr int kUnitBytes = 64;

inline __m256i load(const void* p) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(p));
}

// Half `h` (8 columns) of unit `u` of a plane of kWidth bits.
template <int kWidth>
inline __m256i plane_unit(const uint8_t* plane, int u, int h) {
  constexpr int kEach = 8 / kWidth;
  const __m256i row = load(plane + u / kEach * kUnitBytes + h * 32);
  return _mm256_and_si256(_mm256_srli_epi16(row, u % kEach * kWidth),
                          _mm256_set1_epi8((1 << kWidth) - 1));
}

// 1, 2 or 3 bits, 2-bit plane first.
template <int kBits>
inline __m256i small_unit(const uint8_t* planes, int u, int h) {
  if constexpr (kBits == 3) {
    return _mm256_or_si256(
        plane_unit<2>(planes, u, h),
        _mm256_slli_epi16(plane_unit<1>(planes + 2 * kUnitBytes, u, h), 2));
  } else {
    return plane_unit<kBits>(planes, u, h);
  }
}

template <int kBits>
inline __m256i low_unit(const uint8_t* chunk, int u, int h) {
  if constexpr (kBits == 8) {
    return _mm256_and_si256(load(chunk + u * kUnitBytes + h * 32),
                            _mm256_set1_epi8(15));
  } else if constexpr (kBits >= 4) {
    return plane_unit<4>(chunk, u, h);
  } else {
    return small_unit<kBits>(chunk, u, h);
  }
}

template <int kBits>
inline __m256i high_unit(const uint8_t* chunk, int u, int h) {
  if constexpr (kBits == 8) {
    return _mm256_and_si256(
        _mm256_srli_epi16(load(chunk + u * kUnitBytes + h * 32), 4),
        _mm256_set1_epi8(15));
  } else {
    return small_unit<kBits - 4>(chunk + 4 * kUnitBytes, u, h);
  }
}

// Keeps GCC from summing all products at the end, which takes more registers
// than there are.
inline void pin(__m256i& sum) { __asm__("" : "+x"(sum)); }

inline __m256i broadcast(const int8_t* four) {
  return _mm256_set1_epi32(load_i32(four));
}

inline __m256 metadata_of(LowbitScale type, const void* values, int64_t at) {
  if (type == LowbitScale::F32) {
    return _mm256_loadu_ps(static_cast<const float*>(values) + at);
  }
  const __m128i half = _mm_loadu_si128(reinterpret_cast<const __m128i*>(
      static_cast<const uint16_t*>(values) + at));
  if (type == LowbitScale::F16) return _mm256_cvtph_ps(half);
  return _mm256_castsi256_ps(
      _mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16));
}

inline __m256 scales_of(const LowbitWeightView& w, int64_t at) {
  return metadata_of(w.scale_type, w.scales, at);
}

inline __m256 offsets_of(const LowbitWeightView& w, int64_t at) {
  return metadata_of(w.scale_type, w.offsets, at);
}

// Values of 8 columns' super-blocks, at `super`, times the factors of their
// groups.
inline __m256 leveled(LowbitScale type,
                      const void* values,
                      int64_t super,
                      const int8_t* factors,
                      int64_t at) {
  const __m128i eight =
      _mm_loadl_epi64(reinterpret_cast<const __m128i*>(factors + at));
  return _mm256_mul_ps(metadata_of(type, values, super),
                       _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(eight)));
}

// zero + lowbit_middle() of 8 columns.
inline __m256i zeros_of(const LowbitWeightView& w, int64_t at) {
  const __m256i offset = _mm256_set1_epi32(lowbit_middle(w));
  if (w.zeros == nullptr) return offset;
  return _mm256_add_epi32(_mm256_cvtepi8_epi32(_mm_loadl_epi64(
                              reinterpret_cast<const __m128i*>(w.zeros + at))),
                          offset);
}

// -(sum of x) * (zero + 2^(bits-1)) of 8 columns: what a sum begins with.
inline __m256i start(const LowbitWeightView& w, int64_t at, int32_t sum) {
  if (w.zeros == nullptr) return _mm256_set1_epi32(-sum * lowbit_middle(w));
  return _mm256_mullo_epi32(zeros_of(w, at), _mm256_set1_epi32(-sum));
}

// acc [8 columns] of row i, columns j ..: scaled, shifted, stored.
inline void finish(const LinearLowbitArgs& args,
                   int64_t panel,
                   int64_t row,
                   int64_t j,
                   __m256 acc) {
  const LowbitActivations& x = args.x;
  const int64_t i = panel * x.panel + row;
  if (i >= x.m || j >= args.w.n) return;
  const int64_t count = least(8, args.w.n - j);
  float bias[8] = {};
  if (args.bias != nullptr) {
    memcpy(bias, args.bias + j, static_cast<size_t>(count) * sizeof(float));
  }
  const __m256 b = _mm256_loadu_ps(bias);
  if (x.group == 0) {
    if (x.zeros != nullptr) {
      acc = _mm256_fnmadd_ps(
          _mm256_set1_ps(x.zeros[i]), _mm256_loadu_ps(args.w.sums + j), acc);
    }
    const __m256 scale = _mm256_set1_ps(x.scales[i]);
    acc = args.bias != nullptr ? _mm256_fmadd_ps(acc, scale, b)
                               : _mm256_mul_ps(acc, scale);
  } else if (args.bias != nullptr) {
    acc = _mm256_add_ps(acc, b);
  }
  float* y = args.y + i * args.y_stride + j;
  if (count == 8) {
    _mm256_storeu_ps(y, acc);
  } else {
    float out[8];
    _mm256_storeu_ps(out, acc);
    memcpy(y, out, static_cast<size_t>(count) * sizeof(float));
  }
}

}  // namespace
}  // namespace mantissa::kernels
