#pragma once

// Only C headers and <immintrin.h> here: instruction-set files include this.
#include <immintrin.h>
#include <string.h>

#include "kernels/group_minmax_args.h"

namespace mantissa::kernels {
namespace {

// Values compare as integers once their sign and magnitude are turned into
// two's complement; so 16-bit types need no conversion at all.

// The value whose order() is `order`, as a float.
template <Element kElement>
inline float from_order(int32_t order) {
  constexpr int32_t kMagnitude = kElement == Element::F32 ? 0x7fffffff : 0x7fff;
  const int32_t bits = order < 0 ? order ^ kMagnitude : order;
  if constexpr (kElement == Element::F16) {
    return _cvtsh_ss(static_cast<uint16_t>(bits));
  } else {
    const uint32_t wide = kElement == Element::F32
                              ? static_cast<uint32_t>(bits)
                              : static_cast<uint32_t>(bits) << 16;
    float value;
    memcpy(&value, &wide, sizeof(value));
    return value;
  }
}

// Minimum and maximum of `group` > 0 values at `x`.
template <class V, Element kElement>
inline void minmax_one(const char* x, int64_t group, float* min, float* max) {
  constexpr bool kHalf = kElement != Element::F32;
  constexpr int64_t kBytes = kHalf ? 2 : 4;
  constexpr int64_t kWidth = static_cast<int64_t>(sizeof(typename V::Int));
  const int64_t bytes = group * kBytes;
  // A short vector: the tail in front, the first value in the lanes after it.
  alignas(64) char tail[kWidth];
  const int64_t rest = bytes % kWidth;
  typename V::Int low;
  typename V::Int high;
  int64_t at = 0;
  if (rest != 0) {
    for (int64_t i = 0; i < kWidth; i += kBytes) memcpy(tail + i, x, kBytes);
    memcpy(tail, x + bytes - rest, static_cast<size_t>(rest));
    low = high = V::template order<kHalf>(V::load_bits(tail));
  } else {
    low = high = V::template order<kHalf>(V::load_bits(x));
    at = kWidth;
  }
  for (; at + kWidth <= bytes; at += kWidth) {
    const typename V::Int v = V::template order<kHalf>(V::load_bits(x + at));
    low = V::template min<kHalf>(low, v);
    high = V::template max<kHalf>(high, v);
  }
  *min = from_order<kElement>(V::template reduce_min<kHalf>(low));
  *max = from_order<kElement>(V::template reduce_max<kHalf>(high));
}

template <class V, Element kElement>
inline void minmax_groups(const GroupMinmaxArgs& args) {
  const int64_t bytes = args.group * (kElement == Element::F32 ? 4 : 2);
  const char* x = static_cast<const char*>(args.x);
  for (int64_t g = 0; g < args.groups; ++g) {
    if (args.group == 0) {
      args.min[g] = args.max[g] = 0.0f;
    } else {
      minmax_one<V, kElement>(
          x + g * bytes, args.group, args.min + g, args.max + g);
    }
  }
}

template <class V>
inline void group_minmax_loop(Element x, const GroupMinmaxArgs& args) {
  switch (x) {
    case Element::F32:
      return minmax_groups<V, Element::F32>(args);
    case Element::Bf16:
      return minmax_groups<V, Element::Bf16>(args);
    case Element::F16:
      return minmax_groups<V, Element::F16>(args);
  }
}

}  // namespace
}  // namespace mantissa::kernels
