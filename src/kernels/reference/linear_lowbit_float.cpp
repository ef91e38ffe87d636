#include <algorithm>
#include <cmath>
#include <cstdint>

#include <mantissa/primitives/float_casts.h>

#include "kernels/linear_lowbit_float_args.h"
#include "kernels/lowbit_layout.h"
#include "kernels/reference/lowbit_code.h"
#include "primitives/int4_decode.h"

namespace mantissa::kernels {
namespace {

float rounded(float v, LowbitScale type) {
  switch (type) {
    case LowbitScale::Bf16:
      return bfloat16_to_float(float_to_bfloat16(v));
    case LowbitScale::F16:
      return float16_to_float(float_to_float16(v));
    case LowbitScale::F32:
      break;
  }
  return v;
}

float weight_at(const LinearLowbitFloatArgs& args,
                std::int64_t j,
                std::int64_t k) {
  const LowbitWeightView& w = args.w;
  const std::int64_t tile = j / kLowbitTile;
  const std::int64_t lane = j % kLowbitTile;
  const std::int64_t at =
      (tile * (w.k / w.group) + k / w.group) * kLowbitTile + lane;
  const float code = lowbit_value(w, tile, lane, k, at);
  const float scale = lowbit_scale_at(w, at);
  if (w.offsets == nullptr) return rounded(code * scale, args.values);
  const float offset = lowbit_offset_at(w, at);
  if (args.values == LowbitScale::F32) return std::fma(code, scale, offset);
  return rounded(multiply_add_to_odd(code, scale, offset), args.values);
}

float column(const LinearLowbitFloatArgs& args,
             std::int64_t i,
             std::int64_t j) {
  const LowbitFloats& x = args.x;
  float sums[2] = {};
  for (std::int64_t k = 0; k < args.w.k; ++k) {
    float& acc = sums[k % 8 / 4];
    const float v = x.values[float_place(x, i / x.panel, k) + i % x.panel];
    acc = std::fma(v, weight_at(args, j, k), acc);
  }
  const float sum = sums[0] + sums[1];
  return args.bias == nullptr ? sum : sum + args.bias[j];
}

}  // namespace

void run_linear_lowbit_float_ref(const LinearLowbitFloatArgs& args,
                                 const LinearLowbitTiles& tiles) {
  const std::int64_t end = std::min(tiles.end * kLowbitTile, args.w.n);
  for (std::int64_t j = tiles.begin * kLowbitTile; j < end; ++j) {
    for (std::int64_t i = 0; i < args.x.m; ++i) {
      args.y[i * args.y_stride + j] = column(args, i, j);
    }
  }
}

}  // namespace mantissa::kernels
