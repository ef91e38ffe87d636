#pragma once

// Codes of the runtime layout as pairs of bfloat16, and results of 16 columns,
// for the files of linear_lowbit_bf16. Only C headers here.
#include <immintrin.h>

#include "kernels/cpu/bf16_tables.h"
#include "kernels/cpu/lowbit_units_avx512.h"
#include "kernels/linear_lowbit_bf16_args.h"

namespace mantissa::kernels {
namespace {

// vdpbf16ps and tdpbf16ps add two products to each of 16 columns: a unit of
// codes becomes two vectors of pairs, values 0 and 2 and values 1 and 3. A code
// u of up to 7 bits becomes 128 + u by or-ing it into the mantissa of 128,
// which costs few rows the least; for many, codes of up to 5 bits are looked
// up. A code of 8 bits is looked up by its magnitude: integers as u - 127.5,
// float8 as they are. What is too much, `base` and the zero points, is taken
// away again times the sum of x, or before codes of many rows are multiplied.

constexpr int kMagic = 0x4300;  // 128

/// Whether codes are looked up in Tables::codes.
enum class Way { Magic, Table };

template <int kBits>
constexpr Way way_of_panels() {
  return kBits <= 5 ? Way::Table : Way::Magic;
}

template <LowbitCode kCode, int kBits, Way kWay>
constexpr float base() {
  if (kCode != LowbitCode::Integer || kWay == Way::Table) return 0.0f;
  return kBits == 8 ? 0.5f : static_cast<float>(128 + (1 << (kBits - 1)));
}

struct Tables {
  __m512i high[2];  // bytes of bfloat16 for 7 bits of magnitude
  __m512i low[2];
  __m512i codes;  // u - 2^(bits-1) as bfloat16, again and again
};

struct Pairs {
  __m512i even;  // values 0 and 2
  __m512i odd;   // values 1 and 3
};

template <LowbitCode kCode, int kBits>
inline Tables make_tables() {
  const Bf16Table& bytes = bf16_table(kCode);
  uint16_t codes[32] = {};
  for (int i = 0; kBits <= 5 && i < 32; ++i) {
    const int code = i % (1 << kBits) - (1 << (kBits - 1));
    codes[i] = static_cast<uint16_t>(code < 0 ? 0x8000 | bf16_of(-code, 0)
                                              : bf16_of(code, 0));
  }
  return {{load(bytes.high), load(bytes.high + 64)},
          {load(bytes.low), load(bytes.low + 64)},
          load(codes)};
}

// (v & mask) | 128 of 16-bit lanes.
inline __m512i small(__m512i v, int mask) {
  return _mm512_ternarylogic_epi32(v,
                                   _mm512_set1_epi16(static_cast<short>(mask)),
                                   _mm512_set1_epi16(kMagic),
                                   0xea);
}

// Low bytes of 16-bit lanes beside high ones of another vector.
inline Pairs joined(__m512i low, __m512i high) {
  const __m512i mask = _mm512_set1_epi16(0x00ff);
  return {
      _mm512_ternarylogic_epi32(mask, low, _mm512_slli_epi16(high, 8), 0xca),
      _mm512_ternarylogic_epi32(mask, _mm512_srli_epi16(low, 8), high, 0xca)};
}

// Unit `u` of a chunk.
template <LowbitCode kCode, int kBits, Way kWay>
inline Pairs pairs(const uint8_t* chunk, int u, const Tables& tables) {
  if constexpr (kWay == Way::Table) {
    // The low 5 bits of 16-bit lanes are looked at.
    const __m512i codes = unit<kBits>(chunk, u);
    return {
        _mm512_permutexvar_epi16(codes, tables.codes),
        _mm512_permutexvar_epi16(_mm512_srli_epi16(codes, 8), tables.codes)};
  } else if constexpr (kBits == 8) {
    __m512i v = load(chunk + u * kUnitBytes);
    if constexpr (kCode == LowbitCode::Integer) {
      // Bits below the sign flipped where it is set, and the sign of u - 127.5:
      // each bit of the result is bit 7, and its own bit, flipped.
      v = _mm512_gf2p8affine_epi64_epi8(
          v,
          _mm512_set1_epi64(static_cast<long long>(0x8182848890a0c080u)),
          0xff);
    }
    const __m512i high =
        _mm512_permutex2var_epi8(tables.high[0], v, tables.high[1]);
    const __m512i low =
        _mm512_permutex2var_epi8(tables.low[0], v, tables.low[1]);
    return joined(
        low, _mm512_ternarylogic_epi32(v, _mm512_set1_epi8(-128), high, 0xea));
  } else if constexpr ((kBits & (kBits - 1)) == 0) {  // one plane
    constexpr int kEach = 8 / kBits;
    constexpr int kMask = (1 << kBits) - 1;
    const __m512i row = load(chunk + u / kEach * kUnitBytes);
    const auto by = static_cast<unsigned>(u % kEach * kBits);
    const __m512i even = by == 0 ? row : _mm512_srli_epi16(row, by);
    return {small(even, kMask), small(_mm512_srli_epi16(row, by + 8), kMask)};
  } else {
    const __m512i codes = unit<kBits>(chunk, u);
    return {small(codes, 0xff), small(_mm512_srli_epi16(codes, 8), 0xff)};
  }
}

// base + zero of 16 columns.
template <LowbitCode kCode, int kBits, Way kWay>
inline __m512 offset_of(const LowbitWeightView& w, int64_t at) {
  const __m512 offset =
      _mm512_set1_ps(base<kCode, kBits, kWay>() -
                     static_cast<float>(w.from_zero ? 1 << (kBits - 1) : 0));
  if (w.zeros == nullptr) return offset;
  const __m128i zero =
      _mm_loadu_si128(reinterpret_cast<const __m128i*>(w.zeros + at));
  return _mm512_add_ps(offset, _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(zero)));
}

// acc [16 columns] of row i, columns j ..
inline void finish(const LinearLowbitBf16Args& args,
                   int64_t i,
                   int64_t j,
                   __m512 acc) {
  const __mmask16 mask = columns_at(args.w.n, j);
  if (i >= args.x.m || mask == 0) return;
  if (args.bias != nullptr) {
    acc = _mm512_add_ps(acc, _mm512_maskz_loadu_ps(mask, args.bias + j));
  }
  const int64_t at = i * args.y_stride + j;
  if (args.narrow != nullptr) {
    _mm256_mask_storeu_epi16(
        args.narrow + at,
        mask,
        reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(acc)));
  } else {
    _mm512_mask_storeu_ps(args.y + at, mask, acc);
  }
}

}  // namespace
}  // namespace mantissa::kernels
