#include <algorithm>

#include <mantissa/primitives/affine.h>

#include "kernels/common/load_element.h"
#include "kernels/common/store_element.h"
#include "kernels/linear_int8_args.h"

namespace mantissa::kernels {
namespace {

// Products of two int8 that fit an int32: 2^16 * 2^14 = 2^30.
constexpr std::int64_t kExact = std::int64_t{1} << 16;

std::int64_t dot(const std::int8_t* x, const std::int8_t* w, std::int64_t k) {
  std::int64_t sum = 0;
  for (std::int64_t begin = 0; begin < k; begin += kExact) {
    const std::int64_t end = std::min(k, begin + kExact);
    std::int32_t part = 0;
    for (std::int64_t i = begin; i < end; ++i) {
      part += std::int32_t{x[i]} * std::int32_t{w[i]};
    }
    sum += part;
  }
  return sum;
}

std::int64_t row_sum(const std::int8_t* w, std::int64_t k) {
  std::int64_t sum = 0;
  for (std::int64_t i = 0; i < k; ++i) sum += w[i];
  return sum;
}

template <Element kOut>
void run(const LinearInt8Args& args, const LinearInt8Tile& tile) {
  const DType out = to_dtype(kOut);
  for (std::int64_t j = tile.n_begin; j < tile.n_end; ++j) {
    const std::int8_t* w = args.w + j * args.k;
    const float w_scale = args.w_scale[j * args.w_scale_stride];
    const float w_sum = args.x_zero_point == nullptr
                            ? 0.0f
                            : static_cast<float>(row_sum(w, args.k));
    const float bias = args.bias == nullptr
                           ? 0.0f
                           : load_element(args.bias_type, args.bias, j);
    for (std::int64_t i = tile.m_begin; i < tile.m_end; ++i) {
      const float scale = args.x_scale[i];
      const auto acc = static_cast<float>(dot(args.x + i * args.k, w, args.k));
      float y = round_to(out, acc * scale);
      if (args.x_zero_point != nullptr) {
        const float shift = args.x_zero_point[i] * scale;
        y = round_to(out, y - round_to(out, shift * w_sum));
      }
      y *= w_scale;
      if (args.bias != nullptr) y += bias;
      store_element(kOut, args.y, i * args.n + j, y);
    }
  }
}

}  // namespace

void run_linear_i8dyn_i8c_ref(Element out,
                              const LinearInt8Args& args,
                              const LinearInt8Tile& tile) {
  switch (out) {
    case Element::F32:
      return run<Element::F32>(args, tile);
    case Element::Bf16:
      return run<Element::Bf16>(args, tile);
    case Element::F16:
      return run<Element::F16>(args, tile);
  }
}

}  // namespace mantissa::kernels
