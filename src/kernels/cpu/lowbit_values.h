#pragma once

// What the codes of a low-bit weight mean, for vectors V of floats. Only C
// headers here: instruction-set files include this.
#include <stdint.h>

#include "kernels/cpu/lowbit_segments.h"
#include "kernels/linear_lowbit_args.h"

namespace mantissa::kernels {
namespace {

/// Where the groups of a weight stand.
struct LowbitGroups {
  int64_t groups;
  int64_t supers;  // one level: as many
  int shift;       // of a group to its super-block

  explicit LowbitGroups(const LowbitWeightView& w)
      : groups(w.k / w.group),
        supers(w.super == 0 ? groups : w.k / w.super),
        shift(w.super == 0 ? 0 : shift_of(w.super / w.group)) {}
};

// Half to even; v is no NaN.
template <class V>
[[gnu::always_inline]] inline typename V::Float round_bf16(
    typename V::Float v) {
  const auto bits = V::as_ints(v);
  const auto odd = V::bit_and(V::right32(bits, 16), V::ints(1));
  const auto sum = V::add32(V::add32(bits, V::ints(0x7fff)), odd);
  return V::as_float(V::bit_and(sum, V::ints(-0x10000)));
}

template <class V>
[[gnu::always_inline]] inline typename V::Float round_any(typename V::Float v,
                                                          LowbitScale values) {
  if (values == LowbitScale::F16) return V::round_f16(v);
  return values == LowbitScale::Bf16 ? V::unless_nan(v, round_bf16<V>(v)) : v;
}

// code * scale + offset, the product exact, rounded once to `values`: first to
// the odd one of the floats beside it, which shows the last rounding on which
// side the sum is.
template <class V>
[[gnu::always_inline]] inline typename V::Float add_once(
    typename V::Float code,
    typename V::Float scale,
    typename V::Float offset,
    LowbitScale values) {
  const auto sum = V::fma(code, scale, offset);
  if (values == LowbitScale::F32) return sum;
  const auto product = V::multiply(code, scale);
  const auto back = V::subtract(sum, product);
  const auto lost = V::add(V::subtract(product, V::subtract(sum, back)),
                           V::subtract(offset, back));
  const auto bits = V::as_ints(sum);
  // -1 where the exact sum is nearer to 0.
  const auto below = V::right32_signed(V::bit_xor(V::as_ints(lost), bits), 31);
  const auto odd = V::bit_or(V::add32(bits, below), V::ints(1));
  return round_any<V>(V::unless_zero(lost, sum, V::as_float(odd)), values);
}

// The value of the float8 code in the highest byte of each lane: its exponent
// and mantissa moved to those of a float, which is 2^-120 (e5m2: 2^-112) of it;
// what is no number gets the exponent of such.
template <class V>
[[gnu::always_inline]] inline typename V::Float float8_value(typename V::Int v,
                                                             LowbitCode code) {
  const bool e4m3 = code == LowbitCode::E4m3;
  const auto magnitude = V::bit_and(v, V::ints(0x7f000000));
  const auto moved =
      V::bit_and(e4m3 ? V::right32_signed(v, 4) : V::right32_signed(v, 3),
                 V::ints(INT32_MIN | (e4m3 ? 0x07f00000 : 0x0fe00000)));
  const auto value =
      V::multiply(V::as_float(moved), V::splat(e4m3 ? 0x1p120f : 0x1p112f));
  const auto no_number = V::if_above(magnitude,
                                     V::ints(e4m3 ? 0x7e000000 : 0x7b000000),
                                     V::ints(e4m3 ? 0x7fc00000 : 0x7f800000));
  return V::as_float(V::bit_or(V::as_ints(value), no_number));
}

}  // namespace
}  // namespace mantissa::kernels
