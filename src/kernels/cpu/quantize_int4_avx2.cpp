#include <immintrin.h>

#include "kernels/quantize_int4_steps.h"

namespace mantissa::kernels {
namespace {

struct Bf16 {
  using Element = unsigned short;
  static __m256 load(const Element* x) {
    const __m128i bits = _mm_loadu_si128(reinterpret_cast<const __m128i*>(x));
    return _mm256_castsi256_ps(
        _mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
  }
  // Round half to even at bit 16; the values here are finite.
  static __m256 round(__m256 x) {
    const __m256i bits = _mm256_castps_si256(x);
    const __m256i odd =
        _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    const __m256i sum = _mm256_add_epi32(
        _mm256_add_epi32(bits, _mm256_set1_epi32(0x7fff)), odd);
    return _mm256_castsi256_ps(
        _mm256_and_si256(sum, _mm256_set1_epi32(~0xffff)));
  }
};

struct F16 {
  using Element = unsigned short;
  static __m256 load(const Element* x) {
    return _mm256_cvtph_ps(
        _mm_loadu_si128(reinterpret_cast<const __m128i*>(x)));
  }
  static __m256 round(__m256 x) {
    return _mm256_cvtph_ps(
        _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  }
};

struct F32 {
  using Element = float;
  static __m256 load(const Element* x) { return _mm256_loadu_ps(x); }
  static __m256 round(__m256 x) { return x; }
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
  const __m256 lowest = _mm256_set1_ps(low);
  const __m256 highest = _mm256_set1_ps(low + 15.0f);
  for (std::int64_t g = 0; g < groups; ++g) {
    const __m256 from = _mm256_set1_ps(offset[g]);
    const __m256 step = _mm256_set1_ps(scale[g]);
    for (std::int64_t i = 0; i < group_size; i += 8, element += 8) {
      __m256 value = _mm256_sub_ps(Type::load(element), from);
      if constexpr (kRounded) value = Type::round(value);
      value = _mm256_div_ps(value, step);
      if constexpr (kRounded) value = Type::round(value);
      value = _mm256_min_ps(_mm256_max_ps(value, lowest), highest);
      value =
          _mm256_round_ps(value, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
      const __m256i code = _mm256_cvtps_epi32(_mm256_sub_ps(value, lowest));
      const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(code),
                                            _mm256_extracti128_si256(code, 1));
      _mm_storel_epi64(reinterpret_cast<__m128i*>(out),
                       _mm_packus_epi16(words, words));
      out += 8;
    }
  }
}

template <class Type>
constexpr QuantizeInt4Steps kSteps = {codes<Type, false>, codes<Type, true>};

}  // namespace

const QuantizeInt4Steps kQuantizeInt4StepsAvx2Bf16 = kSteps<Bf16>;
const QuantizeInt4Steps kQuantizeInt4StepsAvx2F16 = kSteps<F16>;
const QuantizeInt4Steps kQuantizeInt4StepsAvx2F32 = kSteps<F32>;

}  // namespace mantissa::kernels
