#include <algorithm>
#include <cmath>
#include <cstdint>

#include <mantissa/primitives/float_casts.h>

#include "kernels/linear_lowbit_bf16_args.h"
#include "kernels/lowbit_layout.h"
#include "kernels/reference/lowbit_code.h"

namespace mantissa::kernels {
namespace {

// Where value k of a unit stands in it.
constexpr std::int64_t kPlace[4] = {0, 2, 1, 3};

float activation(const LowbitBf16s& x, std::int64_t i, std::int64_t k) {
  return bfloat16_to_float(x.values[bf16_unit_place(x, i, k) + kPlace[k % 4]]);
}

float column(const LinearLowbitBf16Args& args, std::int64_t i, std::int64_t j) {
  const LowbitWeightView& w = args.w;
  const std::int64_t tile = j / kLowbitTile;
  const std::int64_t lane = j % kLowbitTile;
  const std::int64_t groups = w.k / w.group;
  float y = 0.0f;
  for (std::int64_t g = 0; g < groups; ++g) {
    const std::int64_t at = (tile * groups + g) * kLowbitTile + lane;
    float sum = 0.0f;
    float sum_x = 0.0f;
    for (std::int64_t k = g * w.group; k < (g + 1) * w.group; ++k) {
      const float x = activation(args.x, i, k);
      sum_x += x;
      sum = std::fma(x, lowbit_value(w, tile, lane, k, at), sum);
    }
    y = std::fma(sum, lowbit_scale_at(w, at), y);
    if (w.offsets == nullptr) continue;
    y = std::fma(sum_x, lowbit_offset_at(w, at), y);
  }
  return args.bias == nullptr ? y : y + args.bias[j];
}

}  // namespace

void run_linear_lowbit_bf16_ref(const LinearLowbitBf16Args& args,
                                const LinearLowbitTiles& tiles) {
  const std::int64_t end = std::min(tiles.end * kLowbitTile, args.w.n);
  for (std::int64_t j = tiles.begin * kLowbitTile; j < end; ++j) {
    for (std::int64_t i = 0; i < args.x.m; ++i) {
      const float y = column(args, i, j);
      const std::int64_t at = i * args.y_stride + j;
      if (args.narrow != nullptr) {
        args.narrow[at] = float_to_bfloat16(y);
      } else {
        args.y[at] = y;
      }
    }
  }
}

}  // namespace mantissa::kernels
