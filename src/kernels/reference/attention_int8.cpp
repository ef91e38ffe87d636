#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "kernels/attention_int8_args.h"
#include "kernels/common/exp2_polynomial.h"
#include "kernels/reference/exp2_steps.h"

namespace mantissa::kernels {
namespace {

constexpr std::int64_t kSums = 16;  // partial sums of a row

template <class T>
T* row_of(T* data,
          const AttentionStrides& strides,
          const AttentionHead& head,
          std::int64_t position) {
  return data + head.batch * strides.batch + head.head * strides.head +
         position * strides.position;
}

std::vector<std::int64_t> products(const AttentionInt8Args& args,
                                   const AttentionHead& head,
                                   std::int64_t query) {
  const std::uint8_t* q = row_of(args.q, args.q_strides, head, query);
  std::vector<std::int64_t> out(static_cast<std::size_t>(args.keys));
  for (std::int64_t j = 0; j < args.keys; ++j) {
    const std::uint8_t* k = row_of(args.k, args.k_strides, head, j);
    std::int64_t sum = 0;
    for (std::int64_t d = 0; d < args.head_dim; ++d) {
      sum += (q[d] - args.q_zero) * (k[d] - args.k_zero);
    }
    out[static_cast<std::size_t>(j)] = sum;
  }
  return out;
}

// (S - the largest S) / ln 2. Without a mask the difference is one of integers.
std::vector<float> exponents(const AttentionInt8Args& args,
                             const AttentionHead& head,
                             std::int64_t query) {
  const std::vector<std::int64_t> sums = products(args, head, query);
  std::vector<float> x(sums.size());
  if (args.mask == nullptr && args.score_scale >= 0) {
    const std::int64_t most = *std::ranges::max_element(sums);
    const float step = args.score_scale * kLog2E;
    for (std::size_t j = 0; j < x.size(); ++j) {
      x[j] = static_cast<float>(sums[j] - most) * step;
    }
    return x;
  }
  float most = -INFINITY;
  for (std::size_t j = 0; j < x.size(); ++j) {
    x[j] = static_cast<float>(sums[j]) * args.score_scale;
    if (args.mask != nullptr) {
      x[j] += row_of(args.mask, args.mask_strides, head, query)[j];
    }
    if (x[j] > most) most = x[j];
  }
  for (float& v : x) v = (v - most) * kLog2E;
  return x;
}

// Partial sum i is that of keys i, i + 16, ...; halves are added to halves.
float total(const std::vector<float>& e) {
  float sums[kSums] = {};
  for (std::size_t j = 0; j < e.size(); ++j) sums[j % kSums] += e[j];
  for (std::int64_t width = kSums / 2; width > 0; width /= 2) {
    for (std::int64_t i = 0; i < width; ++i) sums[i] += sums[i + width];
  }
  return sums[0];
}

void attend_row(const AttentionInt8Args& args,
                const AttentionHead& head,
                std::int64_t query) {
  std::uint8_t* out = row_of(args.out, args.out_strides, head, query);
  std::vector<float> e = exponents(args, head, query);
  for (float& v : e) v = exp2_steps(v);
  const float sum = total(e);
  if (std::isnan(sum)) {
    std::fill_n(out, args.head_dim, std::uint8_t{0});
    return;
  }
  const auto factor = static_cast<float>(1.0 / (sum * args.a_scale));
  std::vector<std::int64_t> sums(static_cast<std::size_t>(args.head_dim));
  for (std::int64_t j = 0; j < args.keys; ++j) {
    const float steps =
        std::min(e[static_cast<std::size_t>(j)] * factor, 255.0f);
    const int code =
        std::min(static_cast<int>(std::nearbyint(steps)) + args.a_zero, 255);
    const std::uint8_t* v = row_of(args.v, args.v_strides, head, j);
    for (std::int64_t d = 0; d < args.head_dim; ++d) {
      sums[static_cast<std::size_t>(d)] +=
          (code - args.a_zero) * (v[d] - args.v_zero);
    }
  }
  for (std::int64_t d = 0; d < args.head_dim; ++d) {
    const float steps = std::clamp(
        static_cast<float>(sums[static_cast<std::size_t>(d)]) * args.out_scale,
        -255.0f,
        255.0f);
    const int code = static_cast<int>(std::nearbyint(steps)) + args.o_zero;
    out[d] = static_cast<std::uint8_t>(std::clamp(code, 0, 255));
  }
}

}  // namespace

void prepare_attention_int8_ref(const AttentionInt8Args&,
                                const AttentionHead&,
                                void*) {}

void attend_int8_ref(const AttentionInt8Args& args,
                     const AttentionHead& head,
                     std::int64_t begin,
                     std::int64_t end,
                     void*) {
  for (std::int64_t i = begin; i < end; ++i) attend_row(args, head, i);
}

}  // namespace mantissa::kernels
