#include "kernels/cpu/quantize_float8.h"

#include <immintrin.h>
#include <string.h>

namespace mantissa::kernels {
namespace {

// Constants of one format, one per lane.
struct Lanes {
  __m256 max;
  __m256i shifter;
  __m256i smallest_normal;
  __m256i rebias;
  __m256i nan_code;
  __m128i shift;
  bool unsigned_zero;
};

inline Lanes make_lanes(const Float8Bits& f) {
  const int shift = 23 - f.mantissa_bits;
  return {
      _mm256_set1_ps(f.max),
      _mm256_set1_epi32((128 - f.bias - f.mantissa_bits + 23) << 23),
      _mm256_set1_epi32((128 - f.bias) << 23),
      _mm256_set1_epi32(((127 - f.bias) << 23) - ((1 << (shift - 1)) - 1)),
      _mm256_set1_epi32(f.nan_code),
      _mm_cvtsi32_si128(shift),
      f.nan_code == 0x80,
  };
}

// 8 codes of clamp(x / scale), round half to even, as 32-bit numbers.
inline __m256i quantize_8(__m256 x, __m256 scale, const Lanes& c) {
  __m256 value = _mm256_div_ps(x, scale);
  // NaN comes through: max and min return their second operand then.
  value = _mm256_max_ps(_mm256_sub_ps(_mm256_setzero_ps(), c.max), value);
  value = _mm256_min_ps(c.max, value);
  const __m256i bits = _mm256_castps_si256(value);
  const __m256i magnitude =
      _mm256_and_si256(bits, _mm256_set1_epi32(0x7fffffff));
  const __m256i subnormal = _mm256_sub_epi32(
      _mm256_castps_si256(_mm256_add_ps(_mm256_castsi256_ps(magnitude),
                                        _mm256_castsi256_ps(c.shifter))),
      c.shifter);
  const __m256i odd = _mm256_and_si256(_mm256_srl_epi32(magnitude, c.shift),
                                       _mm256_set1_epi32(1));
  const __m256i normal = _mm256_srl_epi32(
      _mm256_add_epi32(_mm256_sub_epi32(magnitude, c.rebias), odd), c.shift);
  const __m256i small = _mm256_cmpgt_epi32(c.smallest_normal, magnitude);
  __m256i code = _mm256_blendv_epi8(normal, subnormal, small);
  const __m256i nan =
      _mm256_cmpgt_epi32(magnitude, _mm256_set1_epi32(0x7f800000));
  code = _mm256_blendv_epi8(code, c.nan_code, nan);
  __m256i sign =
      _mm256_and_si256(_mm256_srli_epi32(bits, 24), _mm256_set1_epi32(0x80));
  if (c.unsigned_zero) {
    const __m256i low = _mm256_and_si256(code, _mm256_set1_epi32(0x7f));
    sign = _mm256_andnot_si256(_mm256_cmpeq_epi32(low, _mm256_setzero_si256()),
                               sign);
  }
  return _mm256_or_si256(code, sign);
}

// 16 codes as bytes, from two registers of 8.
inline __m128i narrow(__m256i low, __m256i high) {
  const __m256i words =
      _mm256_permute4x64_epi64(_mm256_packus_epi32(low, high), 0xd8);
  return _mm_packus_epi16(_mm256_castsi256_si128(words),
                          _mm256_extracti128_si256(words, 1));
}

struct LoadBf16 {
  static __m256 load(const uint16_t* x) {
    const __m128i bits = _mm_loadu_si128(reinterpret_cast<const __m128i*>(x));
    return _mm256_castsi256_ps(
        _mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
  }
};

struct LoadF16 {
  static __m256 load(const uint16_t* x) {
    return _mm256_cvtph_ps(
        _mm_loadu_si128(reinterpret_cast<const __m128i*>(x)));
  }
};

struct LoadF32 {
  static __m256 load(const float* x) { return _mm256_loadu_ps(x); }
};

template <class Load, class T>
inline void quantize_runs(const T* x,
                          const float* scale,
                          int64_t run,
                          int64_t runs,
                          const Float8Bits& format,
                          uint8_t* out) {
  const Lanes lanes = make_lanes(format);
  const auto quantize_16 = [&](const T* from, __m256 s, uint8_t* to) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to),
                     narrow(quantize_8(Load::load(from), s, lanes),
                            quantize_8(Load::load(from + 8), s, lanes)));
  };
  for (int64_t r = 0; r < runs; ++r, x += run, out += run) {
    const __m256 s = _mm256_set1_ps(scale[r]);
    int64_t i = 0;
    for (; i + 16 <= run; i += 16) quantize_16(x + i, s, out + i);
    if (i < run) {
      T from[16] = {};
      uint8_t to[16];
      const size_t rest = static_cast<size_t>(run - i);
      memcpy(from, x + i, rest * sizeof(T));
      quantize_16(from, s, to);
      memcpy(out + i, to, rest);
    }
  }
}

}  // namespace

void quantize_float8_bf16_avx2(const uint16_t* x,
                               const float* scale,
                               int64_t run,
                               int64_t runs,
                               Float8Bits format,
                               uint8_t* out) {
  quantize_runs<LoadBf16>(x, scale, run, runs, format, out);
}

void quantize_float8_f16_avx2(const uint16_t* x,
                              const float* scale,
                              int64_t run,
                              int64_t runs,
                              Float8Bits format,
                              uint8_t* out) {
  quantize_runs<LoadF16>(x, scale, run, runs, format, out);
}

void quantize_float8_f32_avx2(const float* x,
                              const float* scale,
                              int64_t run,
                              int64_t runs,
                              Float8Bits format,
                              uint8_t* out) {
  quantize_runs<LoadF32>(x, scale, run, runs, format, out);
}

}  // namespace mantissa::kernels
