#pragma once

// Only C headers here: instruction-set files include this.
#include <string.h>

#include "kernels/dequantize_affine_args.h"

namespace mantissa::kernels {
namespace {

template <class V, Element kOut>
inline void dequantize_vector(const int8_t* q,
                              typename V::Float scale,
                              typename V::Float zero_point,
                              char* out) {
  const typename V::Float steps =
      V::template round_to<kOut>(V::subtract(V::load_codes(q), zero_point));
  V::template store<kOut>(V::multiply(steps, scale), out);
}

template <class V, Element kOut>
inline void dequantize_one(const int8_t* q,
                           int64_t group,
                           typename V::Float scale,
                           typename V::Float zero_point,
                           char* out) {
  constexpr int64_t kBytes = kOut == Element::F32 ? 4 : 2;
  int64_t i = 0;
  for (; i + V::kFloats <= group; i += V::kFloats) {
    dequantize_vector<V, kOut>(q + i, scale, zero_point, out + i * kBytes);
  }
  if (i == group) return;
  const auto rest = static_cast<size_t>(group - i);
  int8_t in[V::kFloats] = {};
  alignas(64) char tail[V::kFloats * kBytes];
  memcpy(in, q + i, rest);
  dequantize_vector<V, kOut>(in, scale, zero_point, tail);
  memcpy(out + i * kBytes, tail, rest * kBytes);
}

template <class V, Element kOut>
inline void dequantize_groups(const DequantizeAffineArgs& args) {
  constexpr int64_t kBytes = kOut == Element::F32 ? 4 : 2;
  char* out = static_cast<char*>(args.out);
  for (int64_t g = 0; g < args.groups; ++g) {
    dequantize_one<V, kOut>(args.q + g * args.group,
                            args.group,
                            V::broadcast(args.scale[g]),
                            V::broadcast(args.zero_point[g]),
                            out + g * args.group * kBytes);
  }
}

template <class V>
inline void dequantize_affine_loop(Element out,
                                   const DequantizeAffineArgs& args) {
  switch (out) {
    case Element::F32:
      return dequantize_groups<V, Element::F32>(args);
    case Element::Bf16:
      return dequantize_groups<V, Element::Bf16>(args);
    case Element::F16:
      return dequantize_groups<V, Element::F16>(args);
  }
}

}  // namespace
}  // namespace mantissa::kernels
