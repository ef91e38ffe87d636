#pragma once

#include <cmath>
#include <cstdint>

#include <mantissa/primitives/float_casts.h>

#include "kernels/linear_lowbit_args.h"
#include "kernels/lowbit_layout.h"
#include "primitives/int4_decode.h"

namespace mantissa::kernels {

/// Code u in [0, 2^bits) of value k (below the stored K) of column `lane` of a
/// tile.
inline int lowbit_code(const LowbitWeightView& w,
                       std::int64_t tile,
                       std::int64_t lane,
                       std::int64_t k) {
  const std::int64_t chunk_bytes = w.bits * 64;
  const std::uint8_t* at =
      w.codes + (tile * (w.k / kLowbitChunk) + k / kLowbitChunk) * chunk_bytes;
  const auto unit = static_cast<int>(k % kLowbitChunk / 4);
  const std::int64_t byte = 4 * lane + k % 4;
  if (w.bits == 8) return at[unit * 64 + byte];
  int code = 0;
  int low = 0;
  for (const int width : {4, 2, 1}) {
    if ((w.bits & width) == 0) continue;
    const int each = 8 / width;
    const int bits = at[unit / each * 64 + byte] >> (unit % each * width);
    code |= (bits & ((1 << width) - 1)) << low;
    low += width;
    at += width * 64;
  }
  return code;
}

/// The same value without its scale: code - lowbit_middle() - zero, where `at`
/// is the place of its group in the metadata, or what the float8 code means.
inline float lowbit_value(const LowbitWeightView& w,
                          std::int64_t tile,
                          std::int64_t lane,
                          std::int64_t k,
                          std::int64_t at) {
  const int code = lowbit_code(w, tile, lane, k);
  if (w.code == LowbitCode::E4m3) {
    return Float8E4M3FN::decode(static_cast<std::uint8_t>(code));
  }
  if (w.code == LowbitCode::E5m2) {
    return Float8E5M2::decode(static_cast<std::uint8_t>(code));
  }
  const int zero = w.zeros == nullptr ? 0 : w.zeros[at];
  return static_cast<float>(code - lowbit_middle(w) - zero);
}

/// `v` rounded half to even to a dtype.
inline float lowbit_rounded(float v, LowbitScale values) {
  switch (values) {
    case LowbitScale::Bf16:
      return bfloat16_to_float(float_to_bfloat16(v));
    case LowbitScale::F16:
      return float16_to_float(float_to_float16(v));
    case LowbitScale::F32:
      break;
  }
  return v;
}

/// Value k of row j in float32: lowbit_value() * scale, or with offsets
/// lowbit_value() * scale + offset rounded once to `values`.
inline float lowbit_weight(const LowbitWeightView& w,
                           LowbitScale values,
                           std::int64_t j,
                           std::int64_t k) {
  const std::int64_t tile = j / kLowbitTile;
  const std::int64_t lane = j % kLowbitTile;
  const std::int64_t at =
      (tile * (w.k / w.group) + k / w.group) * kLowbitTile + lane;
  const float code = lowbit_value(w, tile, lane, k, at);
  const float scale = lowbit_scale_at(w, at);
  if (w.offsets == nullptr) return code * scale;
  const float offset = lowbit_offset_at(w, at);
  if (values == LowbitScale::F32) return std::fma(code, scale, offset);
  return lowbit_rounded(multiply_add_to_odd(code, scale, offset), values);
}

}  // namespace mantissa::kernels
