#include "kernels/cpu/quantize_float8.h"

#include <immintrin.h>

namespace mantissa::kernels {
namespace {

// Constants of one format, one per lane.
struct Lanes {
  __m512 max;
  __m512i shifter;
  __m512i smallest_normal;
  __m512i rebias;
  __m512i nan_code;
  __m128i shift;
  bool unsigned_zero;
};

inline Lanes make_lanes(const Float8Bits& f) {
  const int shift = 23 - f.mantissa_bits;
  return {
      _mm512_set1_ps(f.max),
      _mm512_set1_epi32((128 - f.bias - f.mantissa_bits + 23) << 23),
      _mm512_set1_epi32((128 - f.bias) << 23),
      _mm512_set1_epi32(((127 - f.bias) << 23) - ((1 << (shift - 1)) - 1)),
      _mm512_set1_epi32(f.nan_code),
      _mm_cvtsi32_si128(shift),
      f.nan_code == 0x80,
  };
}

// 16 codes of clamp(x / scale), round half to even.
inline __m128i quantize_16(__m512 x, __m512 scale, const Lanes& c) {
  __m512 value = _mm512_div_ps(x, scale);
  // NaN comes through: max and min return their second operand then.
  value = _mm512_max_ps(_mm512_sub_ps(_mm512_setzero_ps(), c.max), value);
  value = _mm512_min_ps(c.max, value);
  const __m512i bits = _mm512_castps_si512(value);
  const __m512i magnitude =
      _mm512_and_si512(bits, _mm512_set1_epi32(0x7fffffff));
  const __m512i subnormal = _mm512_sub_epi32(
      _mm512_castps_si512(_mm512_add_ps(_mm512_castsi512_ps(magnitude),
                                        _mm512_castsi512_ps(c.shifter))),
      c.shifter);
  const __m512i odd = _mm512_and_si512(_mm512_srl_epi32(magnitude, c.shift),
                                       _mm512_set1_epi32(1));
  const __m512i normal = _mm512_srl_epi32(
      _mm512_add_epi32(_mm512_sub_epi32(magnitude, c.rebias), odd), c.shift);
  const __mmask16 small = _mm512_cmplt_epi32_mask(magnitude, c.smallest_normal);
  __m512i code = _mm512_mask_mov_epi32(normal, small, subnormal);
  const __mmask16 nan =
      _mm512_cmpgt_epi32_mask(magnitude, _mm512_set1_epi32(0x7f800000));
  code = _mm512_mask_mov_epi32(code, nan, c.nan_code);
  __mmask16 with_sign = 0xffff;
  if (c.unsigned_zero) {
    with_sign = _mm512_test_epi32_mask(code, _mm512_set1_epi32(0x7f));
  }
  const __m512i sign =
      _mm512_and_si512(_mm512_srli_epi32(bits, 24), _mm512_set1_epi32(0x80));
  code = _mm512_mask_or_epi32(code, with_sign, code, sign);
  return _mm512_cvtepi32_epi8(code);
}

struct LoadBf16 {
  static __m512 load(const uint16_t* x, __mmask16 mask) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(
        _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, x)), 16));
  }
};

struct LoadF16 {
  static __m512 load(const uint16_t* x, __mmask16 mask) {
    return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(mask, x));
  }
};

struct LoadF32 {
  static __m512 load(const float* x, __mmask16 mask) {
    return _mm512_maskz_loadu_ps(mask, x);
  }
};

template <class Load, class T>
inline void quantize_runs(const T* x,
                          const float* scale,
                          int64_t run,
                          int64_t runs,
                          const Float8Bits& format,
                          uint8_t* out) {
  const Lanes lanes = make_lanes(format);
  const __mmask16 rest =
      static_cast<__mmask16>((1u << (static_cast<unsigned>(run) % 16)) - 1u);
  for (int64_t r = 0; r < runs; ++r, x += run, out += run) {
    const __m512 s = _mm512_set1_ps(scale[r]);
    int64_t i = 0;
    for (; i + 16 <= run; i += 16) {
      _mm_storeu_si128(reinterpret_cast<__m128i*>(out + i),
                       quantize_16(Load::load(x + i, 0xffff), s, lanes));
    }
    if (rest != 0) {
      _mm_mask_storeu_epi8(
          out + i, rest, quantize_16(Load::load(x + i, rest), s, lanes));
    }
  }
}

}  // namespace

void quantize_float8_bf16_avx512(const uint16_t* x,
                                 const float* scale,
                                 int64_t run,
                                 int64_t runs,
                                 Float8Bits format,
                                 uint8_t* out) {
  quantize_runs<LoadBf16>(x, scale, run, runs, format, out);
}

void quantize_float8_f16_avx512(const uint16_t* x,
                                const float* scale,
                                int64_t run,
                                int64_t runs,
                                Float8Bits format,
                                uint8_t* out) {
  quantize_runs<LoadF16>(x, scale, run, runs, format, out);
}

void quantize_float8_f32_avx512(const float* x,
                                const float* scale,
                                int64_t run,
                                int64_t runs,
                                Float8Bits format,
                                uint8_t* out) {
  quantize_runs<LoadF32>(x, scale, run, runs, format, out);
}

}  // namespace mantissa::kernels
