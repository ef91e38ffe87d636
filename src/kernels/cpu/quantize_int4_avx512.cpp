#include <immintrin.h>

#include "kernels/quantize_int4_steps.h"

namespace mantissa::kernels {
namespace {

struct Bf16 {
  using Element = unsigned short;
  static __m512 load(const Element* x) {
    const __m256i bits =
        _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x));
    return _mm512_castsi512_ps(
        _mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
  }
  // Round half to even at bit 16; the values here are finite.
  static __m512 round(__m512 x) {
    const __m512i bits = _mm512_castps_si512(x);
    const __m512i odd =
        _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    const __m512i sum = _mm512_add_epi32(
        _mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)), odd);
    return _mm512_castsi512_ps(
        _mm512_and_si512(sum, _mm512_set1_epi32(~0xffff)));
  }
};

struct F16 {
  using Element = unsigned short;
  static __m512 load(const Element* x) {
    return _mm512_cvtph_ps(
        _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x)));
  }
  static __m512 round(__m512 x) {
    return _mm512_cvtph_ps(
        _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  }
};

struct F32 {
  using Element = float;
  static __m512 load(const Element* x) { return _mm512_loadu_ps(x); }
  static __m512 round(__m512 x) { return x; }
};

template <class Type, bool kRounded>
void codes(const void* x,
           std::int64_t groups,
           std::int64_t group_size,
           const float* offset,
           const float* scale,
           float low,
           std::uint8_t* out) {
  const auto* element = static_cast<const typename Type::Element*>(x);
  const __m512 lowest = _mm512_set1_ps(low);
  const __m512 highest = _mm512_set1_ps(low + 15.0f);
  const __m512i base = _mm512_set1_epi32(static_cast<int>(low));
  for (std::int64_t g = 0; g < groups; ++g) {
    const __m512 from = _mm512_set1_ps(offset[g]);
    const __m512 step = _mm512_set1_ps(scale[g]);
    for (std::int64_t i = 0; i < group_size; i += 16, element += 16) {
      __m512 value = _mm512_sub_ps(Type::load(element), from);
      if constexpr (kRounded) value = Type::round(value);
      value = _mm512_div_ps(value, step);
      if constexpr (kRounded) value = Type::round(value);
      value = _mm512_min_ps(_mm512_max_ps(value, lowest), highest);
      const __m512i code = _mm512_sub_epi32(
          _mm512_cvt_roundps_epi32(
              value, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC),
          base);
      _mm_storeu_si128(reinterpret_cast<__m128i*>(out),
                       _mm512_cvtepi32_epi8(code));
      out += 16;
    }
  }
}

template <class Type>
constexpr QuantizeInt4Steps kSteps = {codes<Type, false>, codes<Type, true>};

}  // namespace

const QuantizeInt4Steps kQuantizeInt4StepsAvx512Bf16 = kSteps<Bf16>;
const QuantizeInt4Steps kQuantizeInt4StepsAvx512F16 = kSteps<F16>;
const QuantizeInt4Steps kQuantizeInt4StepsAvx512F32 = kSteps<F32>;

}  // namespace mantissa::kernels
