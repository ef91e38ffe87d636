#include <algorithm>
#include <vector>

#include <mantissa/primitives/affine.h>

#include "kernels/common/load_element.h"
#include "kernels/common/store_element.h"
#include "kernels/linear_int8_args.h"

namespace mantissa::kernels {
namespace {

std::int64_t dot(const std::int8_t* x, const std::int8_t* w, std::int64_t k) {
  std::int64_t sum = 0;
  for (std::int64_t begin = 0; begin < k; begin += kInt8SumColumns) {
    const std::int64_t end = std::min(k, begin + kInt8SumColumns);
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

// What the results of a tile's columns need.
struct Columns {
  std::vector<float> scale;
  std::vector<float> sum;   // of the weight's codes; empty: not needed
  std::vector<float> bias;  // empty: there is none

  Columns(const LinearInt8Args& args, const LinearInt8Tile& tile) {
    const auto count = static_cast<std::size_t>(tile.n_end - tile.n_begin);
    scale.reserve(count);
    if (args.x_zero_point != nullptr) sum.reserve(count);
    if (args.bias != nullptr) bias.reserve(count);
    for (std::int64_t j = tile.n_begin; j < tile.n_end; ++j) {
      scale.push_back(args.w_scale[j * args.w_scale_stride]);
      if (args.x_zero_point != nullptr) {
        sum.push_back(
            args.w_sums != nullptr
                ? args.w_sums[j]
                : static_cast<float>(row_sum(args.w + j * args.k, args.k)));
      }
      if (args.bias != nullptr) {
        bias.push_back(load_element(args.bias_type, args.bias, j));
      }
    }
  }
};

// What stands around the sums; sum_at(i, j) gives them. A step at a time, so
// that compilers vectorize each.
template <Element kOut, class SumAt>
void finish(const LinearInt8Args& args,
            const LinearInt8Tile& tile,
            const SumAt& sum_at) {
  const DType out = to_dtype(kOut);
  const Columns columns(args, tile);
  const std::size_t count = columns.scale.size();
  std::vector<float> row(count);
  for (std::int64_t i = tile.m_begin; i < tile.m_end; ++i) {
    const float scale = args.x_scale[i];
    float* y = row.data();
    for (std::size_t j = 0; j < count; ++j) {
      const auto sum = static_cast<float>(
          sum_at(i, tile.n_begin + static_cast<std::int64_t>(j)));
      y[j] = round_to(out, sum * scale);
    }
    if (!columns.sum.empty()) {
      const float shift = args.x_zero_point[i] * scale;
      for (std::size_t j = 0; j < count; ++j) {
        y[j] = round_to(out, y[j] - round_to(out, shift * columns.sum[j]));
      }
    }
    for (std::size_t j = 0; j < count; ++j) y[j] *= columns.scale[j];
    if (!columns.bias.empty()) {
      for (std::size_t j = 0; j < count; ++j) y[j] += columns.bias[j];
    }
    for (std::size_t j = 0; j < count; ++j) {
      store_element(kOut,
                    args.y,
                    i * args.n + tile.n_begin + static_cast<std::int64_t>(j),
                    y[j]);
    }
  }
}

template <class SumAt>
void finish(Element out,
            const LinearInt8Args& args,
            const LinearInt8Tile& tile,
            const SumAt& sum_at) {
  switch (out) {
    case Element::F32:
      return finish<Element::F32>(args, tile, sum_at);
    case Element::Bf16:
      return finish<Element::Bf16>(args, tile, sum_at);
    case Element::F16:
      return finish<Element::F16>(args, tile, sum_at);
  }
}

}  // namespace

void run_linear_i8dyn_i8c_ref(Element out,
                              const LinearInt8Args& args,
                              const LinearInt8Tile& tile) {
  finish(out, args, tile, [&](std::int64_t i, std::int64_t j) {
    return dot(args.x + i * args.k, args.w + j * args.k, args.k);
  });
}

void finish_linear_int8(Element out,
                        const LinearInt8Args& args,
                        const LinearInt8Tile& tile,
                        const float* sums,
                        std::int64_t stride) {
  finish(out, args, tile, [&](std::int64_t i, std::int64_t j) {
    return sums[i * stride + j];
  });
}

void run_linear_int8_with(Int8Sums sum,
                          Element out,
                          const LinearInt8Args& args,
                          const LinearInt8Tile& tile) {
  const std::int64_t columns = tile.n_end - tile.n_begin;
  std::vector<std::int32_t> sums(
      static_cast<std::size_t>((tile.m_end - tile.m_begin) * columns));
  sum(args.x + tile.m_begin * args.k,
      args.w + tile.n_begin * args.k,
      args.k,
      tile.m_end - tile.m_begin,
      columns,
      sums.data());
  finish(out, args, tile, [&](std::int64_t i, std::int64_t j) {
    return sums[static_cast<std::size_t>((i - tile.m_begin) * columns + j -
                                         tile.n_begin)];
  });
}

}  // namespace mantissa::kernels
