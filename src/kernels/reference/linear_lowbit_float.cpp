#include <algorithm>
#include <cmath>
#include <cstdint>

#include "kernels/linear_lowbit_float_args.h"
#include "kernels/reference/lowbit_code.h"

namespace mantissa::kernels {
namespace {

float weight_at(const LinearLowbitFloatArgs& args,
                std::int64_t j,
                std::int64_t k) {
  return lowbit_rounded(lowbit_weight(args.w, args.values, j, k), args.values);
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
