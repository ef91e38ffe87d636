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
  typename V::Float factor;
  typename V::Float low;
  typename V::Float high;
  typename V::Float shift;  // Quotient: the zero point, added before
  typename V::Int zero;     // Reciprocal: the zero point, added after
};

template <class V, AffineRounding kRounding>
inline GroupConstants<V> group_constants(const QuantizeAffineArgs& args,
                                         int64_t g) {
  const int32_t zero = args.zero_point == nullptr ? 0 : args.zero_point[g];
  const int32_t before = kRounding == AffineRounding::Quotient ? zero : 0;
  const int32_t after = zero - before;
  return {V::broadcast(args.factor[g]),
          V::broadcast(static_cast<float>(args.qmin - after)),
          V::broadcast(static_cast<float>(args.qmax - after)),
          V::broadcast(static_cast<float>(before)),
          V::broadcast(after)};
}

template <class V, Element kIn, Element kProduct, AffineRounding kRounding>
inline void quantize_vector(const void* x,
                            int64_t i,
                            const GroupConstants<V>& c,
                            uint8_t* q) {
  typename V::Float v = V::template load<kIn>(x, i);
  if constexpr (kRounding == AffineRounding::Quotient) {
    v = V::add(V::divide(v, c.factor), c.shift);
  } else {
    v = V::multiply(v, c.factor);
  }
  V::store_codes(
      V::clamp(V::template round_to<kProduct>(v), c.low, c.high), c.zero, v, q);
}

template <class V, Element kIn, Element kProduct, AffineRounding kRounding>
inline void quantize_one(const char* x,
                         int64_t group,
                         const GroupConstants<V>& c,
                         uint8_t* q) {
  constexpr int64_t kBytes = kIn == Element::F32 ? 4 : 2;
  int64_t i = 0;
  for (; i + V::kFloats <= group; i += V::kFloats) {
    quantize_vector<V, kIn, kProduct, kRounding>(x, i, c, q + i);
  }
  if (i == group) return;
  const auto rest = static_cast<size_t>(group - i);
  alignas(64) char in[V::kFloats * kBytes] = {};
  alignas(64) uint8_t out[V::kFloats];
  memcpy(in, x + i * kBytes, rest * kBytes);
  quantize_vector<V, kIn, kProduct, kRounding>(in, 0, c, out);
  memcpy(q + i, out, rest);
}

template <class V, Element kIn, Element kProduct, AffineRounding kRounding>
inline void quantize_groups(const QuantizeAffineArgs& args) {
  const int64_t bytes = args.group * (kIn == Element::F32 ? 4 : 2);
  const char* x = static_cast<const char*>(args.x);
  for (int64_t g = 0; g < args.groups; ++g) {
    quantize_one<V, kIn, kProduct, kRounding>(
        x + g * bytes,
        args.group,
        group_constants<V, kRounding>(args, g),
        args.q + g * args.group);
  }
}

template <class V, AffineRounding kRounding>
inline void quantize_wide(Element x, const QuantizeAffineArgs& args) {
  using E = Element;
  switch (x) {
    case E::F32:
      return quantize_groups<V, E::F32, E::F32, kRounding>(args);
    case E::Bf16:
      return quantize_groups<V, E::Bf16, E::F32, kRounding>(args);
    case E::F16:
      return quantize_groups<V, E::F16, E::F32, kRounding>(args);
  }
}

template <class V>
inline void quantize_affine_loop(const QuantizeAffineProblem& problem,
                                 const QuantizeAffineArgs& args) {
  using E = Element;
  using R = AffineRounding;
  if (problem.rounding == R::Quotient) {
    return quantize_wide<V, R::Quotient>(problem.x, args);
  }
  if (problem.product == E::F32) {
    return quantize_wide<V, R::Reciprocal>(problem.x, args);
  }
  return problem.x == E::Bf16
             ? quantize_groups<V, E::Bf16, E::Bf16, R::Reciprocal>(args)
             : quantize_groups<V, E::F16, E::F16, R::Reciprocal>(args);
}

}  // namespace
}  // namespace mantissa::kernels
