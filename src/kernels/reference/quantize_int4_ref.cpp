#include <cmath>

#include <mantissa/primitives/float_casts.h>

#include "kernels/quantize_int4_steps.h"

namespace mantissa::kernels {
namespace {

struct Bf16 {
  using Element = std::uint16_t;
  static float load(Element x) { return bfloat16_to_float(x); }
  static float round(float x) {
    return bfloat16_to_float(float_to_bfloat16(x));
  }
};

struct F16 {
  using Element = std::uint16_t;
  static float load(Element x) { return float16_to_float(x); }
  static float round(float x) { return float16_to_float(float_to_float16(x)); }
};

struct F32 {
  using Element = float;
  static float load(Element x) { return x; }
  static float round(float x) { return x; }
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
  const float high = low + 15.0f;
  for (std::int64_t g = 0; g < groups; ++g) {
    for (std::int64_t i = 0; i < group_size; ++i) {
      float value = Type::load(*element++) - offset[g];
      if constexpr (kRounded) value = Type::round(value);
      value /= scale[g];
      if constexpr (kRounded) value = Type::round(value);
      value = value > low ? value : low;  // NaN becomes the lowest code
      value = value < high ? value : high;
      *out++ = static_cast<std::uint8_t>(std::nearbyint(value) - low);
    }
  }
}

template <class Type>
constexpr QuantizeInt4Steps kSteps = {codes<Type, false>, codes<Type, true>};

}  // namespace

const QuantizeInt4Steps kQuantizeInt4StepsRefBf16 = kSteps<Bf16>;
const QuantizeInt4Steps kQuantizeInt4StepsRefF16 = kSteps<F16>;
const QuantizeInt4Steps kQuantizeInt4StepsRefF32 = kSteps<F32>;

}  // namespace mantissa::kernels
