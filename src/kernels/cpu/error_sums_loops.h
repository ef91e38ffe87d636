#pragma once

// Only C headers and <immintrin.h> here: instruction-set files include this.
#include <immintrin.h>
#include <string.h>

#include "kernels/common/error_lanes.h"

namespace mantissa::kernels {
namespace {

template <Element kElement>
inline double load_one(const void* x, int64_t i) {
  if constexpr (kElement == Element::F32) {
    float value;
    memcpy(&value, static_cast<const char*>(x) + i * 4, sizeof(value));
    return value;
  } else {
    uint16_t bits;
    memcpy(&bits, static_cast<const char*>(x) + i * 2, sizeof(bits));
    if constexpr (kElement == Element::F16) return _cvtsh_ss(bits);
    const uint32_t wide = static_cast<uint32_t>(bits) << 16;
    float value;
    memcpy(&value, &wide, sizeof(value));
    return value;
  }
}

// `kVectors` registers of doubles hold the lanes of one partial sum.
template <class V, Element kElement>
inline void sum_row(const void* x,
                    const void* y,
                    int64_t first,
                    int64_t columns,
                    RowErrorSums* out) {
  constexpr int kDoubles = V::kFloats / 2;
  constexpr int kVectors = kErrorLanes / kDoubles;
  using Double = typename V::Double;
  ErrorLanes lanes;
  Double signal[kVectors];
  Double noise[kVectors];
  Double max_error[kVectors];
  Double max_x[kVectors];
  for (int v = 0; v < kVectors; ++v) {
    signal[v] = noise[v] = max_error[v] = max_x[v] = V::zero();
  }
  int64_t i = 0;
  for (; i + kErrorLanes <= columns; i += kErrorLanes) {
    for (int half = 0; half < kVectors / 2; ++half) {
      const int64_t at = first + i + half * V::kFloats;
      const typename V::Float a = V::template load<kElement>(x, at);
      const typename V::Float b = V::template load<kElement>(y, at);
      for (int part = 0; part < 2; ++part) {
        const int v = 2 * half + part;
        const Double p = part == 0 ? V::low_doubles(a) : V::high_doubles(a);
        const Double q = part == 0 ? V::low_doubles(b) : V::high_doubles(b);
        const Double error = V::abs(V::subtract(p, q));
        signal[v] = V::add(signal[v], V::multiply(p, p));
        noise[v] = V::add(noise[v], V::multiply(error, error));
        max_error[v] = V::max(error, max_error[v]);
        max_x[v] = V::max(V::abs(p), max_x[v]);
      }
    }
  }
  for (int v = 0; v < kVectors; ++v) {
    V::store(signal[v], lanes.signal + v * kDoubles);
    V::store(noise[v], lanes.noise + v * kDoubles);
    V::store(max_error[v], lanes.max_error + v * kDoubles);
    V::store(max_x[v], lanes.max_x + v * kDoubles);
  }
  for (; i < columns; ++i) {
    lanes.add(
        i, load_one<kElement>(x, first + i), load_one<kElement>(y, first + i));
  }
  *out = lanes.finish();
}

template <class V, Element kElement>
inline void sum_rows(const ErrorSumsArgs& args) {
  for (int64_t r = 0; r < args.rows; ++r) {
    sum_row<V, kElement>(
        args.x, args.y, r * args.columns, args.columns, args.sums + r);
  }
}

template <class V>
inline void error_sums_loop(Element type, const ErrorSumsArgs& args) {
  switch (type) {
    case Element::F32:
      return sum_rows<V, Element::F32>(args);
    case Element::Bf16:
      return sum_rows<V, Element::Bf16>(args);
    case Element::F16:
      return sum_rows<V, Element::F16>(args);
  }
}

}  // namespace
}  // namespace mantissa::kernels
