#pragma once

// Codes, scales and columns of the runtime layout in vectors of 16 columns, for
// the AVX-512 files of linear_lowbit. Only C headers here.
#include <immintrin.h>

#include "kernels/cpu/lowbit_segments.h"

namespace mantissa::kernels {
namespace {

constexpr int kUnits = 8;
constexpr int kUnitBytes = 64;
constexpr int64_t kTilesAtOnce = 8;  // whose codes stay in the second cache
constexpr int64_t kAhead = 8192;     // bytes of codes fetched before their turn

inline __m512i load(const void* p) { return _mm512_loadu_si512(p); }

// Bits [kAt, kAt + kWidth) of the bytes of a unit, from a plane of kWidth bits,
// beside what is in `below`. Shifts of 16 bits move only these bits right.
template <int kWidth, int kAt>
inline __m512i with_plane(const uint8_t* plane, int u, __m512i below) {
  constexpr int kEach = 8 / kWidth;
  const __m512i row = load(plane + u / kEach * kUnitBytes);
  const int left = kAt - u % kEach * kWidth;
  const __m512i moved = left == 0  ? row
                        : left > 0 ? _mm512_slli_epi16(row, left)
                                   : _mm512_srli_epi16(row, -left);
  const __m512i mask =
      _mm512_set1_epi8(static_cast<char>(((1 << kWidth) - 1) << kAt));
  if constexpr (kAt == 0) return _mm512_and_si512(moved, mask);
  return _mm512_ternarylogic_epi32(moved, mask, below, 0xea);  // (a & b) | c
}

// Unit `u` of a chunk: the codes of 16 columns, 4 values each.
template <int kBits>
inline __m512i unit(const uint8_t* chunk, int u) {
  constexpr int kFirst = kBits >= 4 ? 4 : kBits >= 2 ? 2 : 1;
  if constexpr (kBits == 8) {
    return load(chunk + u * kUnitBytes);
  } else {
    __m512i out = with_plane<kFirst, 0>(chunk, u, __m512i{});
    const uint8_t* plane = chunk + kFirst * kUnitBytes;
    if constexpr (kBits >= 6) {
      out = with_plane<2, 4>(plane, u, out);
      plane += 2 * kUnitBytes;
    }
    if constexpr (kBits % 2 == 1 && kBits > 1) {
      out = with_plane<1, kBits - 1>(plane, u, out);
    }
    return out;
  }
}

inline __m512 metadata_of(LowbitScale type, const void* values, int64_t at) {
  if (type == LowbitScale::F32) {
    return _mm512_loadu_ps(static_cast<const float*>(values) + at);
  }
  const __m256i half = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(
      static_cast<const uint16_t*>(values) + at));
  if (type == LowbitScale::F16) return _mm512_cvtph_ps(half);
  return _mm512_castsi512_ps(
      _mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
}

inline __m512 scales_of(const LowbitWeightView& w, int64_t at) {
  return metadata_of(w.scale_type, w.scales, at);
}

inline __m512 offsets_of(const LowbitWeightView& w, int64_t at) {
  return metadata_of(w.scale_type, w.offsets, at);
}

// Values of 16 columns' super-blocks, at `super`, times the factors of their
// groups.
inline __m512 leveled(LowbitScale type,
                      const void* values,
                      int64_t super,
                      const int8_t* factors,
                      int64_t at) {
  const __m128i eight =
      _mm_loadu_si128(reinterpret_cast<const __m128i*>(factors + at));
  return _mm512_mul_ps(metadata_of(type, values, super),
                       _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(eight)));
}

// zero + lowbit_middle() of 16 columns.
inline __m512i zeros_of(const LowbitWeightView& w, int64_t at) {
  const __m512i offset = _mm512_set1_epi32(lowbit_middle(w));
  if (w.zeros == nullptr) return offset;
  return _mm512_add_epi32(_mm512_cvtepi8_epi32(_mm_loadu_si128(
                              reinterpret_cast<const __m128i*>(w.zeros + at))),
                          offset);
}

/// Which cache codes that come later are fetched to.
enum class Fetch { First, Second };

template <Fetch kTo>
inline void fetch_line(const uint8_t* line) {
  _mm_prefetch(reinterpret_cast<const char*>(line),
               kTo == Fetch::First ? _MM_HINT_T0 : _MM_HINT_T1);
}

template <int kBits, Fetch kTo>
inline void fetch_chunk(const uint8_t* chunk) {
#pragma GCC unroll 8
  for (int line = 0; line < kBits; ++line) {
    fetch_line<kTo>(chunk + line * kUnitBytes);
  }
}

// A chunk that comes later.
template <int kBits, Fetch kTo>
inline void fetch_ahead(const uint8_t* chunk) {
  fetch_chunk<kBits, kTo>(chunk + kAhead);
}

inline __mmask16 columns_at(int64_t n, int64_t j) {
  const int64_t left = n - j;
  if (left >= 16) return 0xffff;
  return static_cast<__mmask16>(left <= 0 ? 0 : (1u << left) - 1);
}

}  // namespace
}  // namespace mantissa::kernels
