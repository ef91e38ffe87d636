#include <algorithm>
#include <cmath>
#include <cstdint>

#include "kernels/linear_lowbit_args.h"
#include "kernels/lowbit_layout.h"
#include "kernels/reference/lowbit_code.h"

namespace mantissa::kernels {
namespace {

float column(const LinearLowbitArgs& args, std::int64_t i, std::int64_t j) {
  const LowbitWeightView& w = args.w;
  const LowbitActivations& x = args.x;
  const std::int64_t panel = i / x.panel;
  const std::int64_t row = i % x.panel;
  const std::int64_t tile = j / kLowbitTile;
  const std::int64_t lane = j % kLowbitTile;
  const std::int64_t groups = w.k / w.group;
  const std::int64_t x_groups =
      x.group == 0 ? 1 : (x.k + x.group - 1) / x.group;
  const std::int64_t step =
      std::min({w.group, x.group == 0 ? w.group : x.group, kLowbitExact});
  float acc = 0;
  for (std::int64_t begin = 0; begin < w.k;) {
    const std::int64_t group = begin / w.group;
    const std::int64_t end = std::min(begin + step, (group + 1) * w.group);
    const std::int64_t at = (tile * groups + group) * kLowbitTile + lane;
    const int zero = (w.zeros == nullptr ? 0 : w.zeros[at]) + lowbit_middle(w);
    std::int32_t sum = 0;
    std::int32_t sum_x = 0;
    for (std::int64_t k = begin; k < end; ++k) {
      const std::int8_t* codes =
          x.codes + ((panel * x.k + k / 4 * 4) * x.panel + row * 4);
      sum_x += codes[k % 4];
      sum += codes[k % 4] * (lowbit_code(w, tile, lane, k) - zero);
    }
    float scale_x = 1.0f;
    if (x.group != 0) {
      scale_x = x.scales[(panel * x_groups + begin / x.group) * x.panel + row];
    }
    const float scale = lowbit_scale_at(w, at) * scale_x;
    acc = std::fma(static_cast<float>(sum), scale, acc);
    if (w.offsets != nullptr) {
      acc = std::fma(
          static_cast<float>(sum_x) * scale_x, lowbit_offset_at(w, at), acc);
    }
    begin = end;
  }
  const float bias = args.bias == nullptr ? 0.0f : args.bias[j];
  if (x.group != 0) return args.bias == nullptr ? acc : acc + bias;
  const std::int64_t r = panel * x.panel + row;
  if (x.zeros != nullptr) acc = std::fma(-x.zeros[r], w.sums[j], acc);
  return args.bias == nullptr ? acc * x.scales[r]
                              : std::fma(acc, x.scales[r], bias);
}

}  // namespace

void run_linear_lowbit_ref(const LinearLowbitArgs& args,
                           const LinearLowbitTiles& tiles) {
  const std::int64_t end = std::min(tiles.end * kLowbitTile, args.w.n);
  for (std::int64_t j = tiles.begin * kLowbitTile; j < end; ++j) {
    for (std::int64_t i = 0; i < args.x.m; ++i) {
      args.y[i * args.y_stride + j] = column(args, i, j);
    }
  }
}

}  // namespace mantissa::kernels
