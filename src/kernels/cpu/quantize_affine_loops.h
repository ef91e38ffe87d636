#pragma once

// Only C headers here: instruction-set files include this.
#include <string.h>

#include "kernels/quantize_affine_args.h"

namespace mantissa::kernels {
namespace {

// Bounds and zero point of one group, broadcast. With integer bounds and zero
// point, clamp(round(v) + zero, qmin, qmax) = round(clamp(v, qmin - zero,
// qmax - zero)) + zero, which never leaves the range of a conversion.
template <class V>
struct GroupConstants {
  typename V::Float reciprocal;
  typename V::Float low;
  typename V::Float high;
  typename V::Int zero;
};

template <class V, Element kIn, Element kProduct>
inline void quantize_vector(const void* x,
                            int64_t i,
                            const GroupConstants<V>& c,
                            uint8_t* q) {
  const typename V::Float v =
      V::multiply(V::template load<kIn>(x, i), c.reciprocal);
  V::store_codes(
      V::clamp(V::template round_to<kProduct>(v), c.low, c.high), c.zero, v, q);
}

template <class V, Element kIn, Element kProduct>
inline void quantize_one(const char* x,
                         int64_t group,
                         const GroupConstants<V>& c,
                         uint8_t* q) {
  constexpr int64_t kBytes = kIn == Element::F32 ? 4 : 2;
  int64_t i = 0;
  for (; i + V::kFloats <= group; i += V::kFloats) {
    quantize_vector<V, kIn, kProduct>(x, i, c, q + i);
  }
  if (i == group) return;
  const auto rest = static_cast<size_t>(group - i);
  alignas(64) char in[V::kFloats * kBytes] = {};
  alignas(64) uint8_t out[V::kFloats];
  memcpy(in, x + i * kBytes, rest * kBytes);
  quantize_vector<V, kIn, kProduct>(in, 0, c, out);
  memcpy(q + i, out, rest);
}

template <class V, Element kIn, Element kProduct>
inline void quantize_groups(const QuantizeAffineArgs& args) {
  const int64_t bytes = args.group * (kIn == Element::F32 ? 4 : 2);
  const char* x = static_cast<const char*>(args.x);
  for (int64_t g = 0; g < args.groups; ++g) {
    const int32_t zero = args.zero_point == nullptr ? 0 : args.zero_point[g];
    const GroupConstants<V> constants = {
        V::broadcast(args.reciprocal[g]),
        V::broadcast(static_cast<float>(args.qmin - zero)),
        V::broadcast(static_cast<float>(args.qmax - zero)),
        V::broadcast(zero),
    };
    quantize_one<V, kIn, kProduct>(
        x + g * bytes, args.group, constants, args.q + g * args.group);
  }
}

template <class V>
inline void quantize_affine_loop(Element x,
                                 Element product,
                                 const QuantizeAffineArgs& args) {
  using E = Element;
  const bool wide = product == E::F32;
  switch (x) {
    case E::F32:
      return quantize_groups<V, E::F32, E::F32>(args);
    case E::Bf16:
      return wide ? quantize_groups<V, E::Bf16, E::F32>(args)
                  : quantize_groups<V, E::Bf16, E::Bf16>(args);
    case E::F16:
      return wide ? quantize_groups<V, E::F16, E::F32>(args)
                  : quantize_groups<V, E::F16, E::F16>(args);
  }
}

}  // namespace
}  // namespace mantissa::kernels
