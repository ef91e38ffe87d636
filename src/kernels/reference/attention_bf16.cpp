#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#include <mantissa/primitives/float_casts.h>

#include "kernels/attention_bf16_args.h"

namespace mantissa::kernels {
namespace {

float rounded(float v) { return bfloat16_to_float(float_to_bfloat16(v)); }

const std::uint16_t* row_of(const std::uint16_t* data,
                            const AttentionStrides& strides,
                            const AttentionHead& head,
                            std::int64_t position) {
  return data + head.batch * strides.batch + head.head * strides.head +
         position * strides.position;
}

// Packed as they are: [panels * kAttentionPanel][head_dim], values behind keys.
std::uint16_t* values_of(const AttentionBf16Args& args, void* packed) {
  return static_cast<std::uint16_t*>(packed) +
         attention_panels(args.keys) * kAttentionPanel * args.head_dim;
}

float score(const AttentionBf16Args& args,
            const float* q,
            const std::uint16_t* key) {
  float sum = 0;
  for (std::int64_t d = 0; d < args.head_dim; ++d) {
    sum += rounded(q[d]) * bfloat16_to_float(key[d]);
  }
  sum *= args.scale;
  return args.cap > 0 ? args.cap * std::tanh(sum / args.cap) : sum;
}

void attend_query(const AttentionBf16Args& args,
                  const float* q,
                  std::int64_t position,
                  const std::uint16_t* keys,
                  const std::uint16_t* values,
                  float* out) {
  const std::int64_t first = first_seen(args, position);
  std::vector<float> weights;
  for (std::int64_t j = first; j <= position; ++j) {
    weights.push_back(score(args, q, keys + j * args.head_dim));
  }
  const float most = *std::ranges::max_element(weights);
  float total = 0;
  for (float& w : weights) {
    w = rounded(std::exp(w - most));
    total += w;
  }
  for (std::int64_t d = 0; d < args.head_dim; ++d) {
    float sum = 0;
    for (std::int64_t j = first; j <= position; ++j) {
      sum += weights[static_cast<std::size_t>(j - first)] *
             bfloat16_to_float(values[j * args.head_dim + d]);
    }
    out[d] = sum / total;
  }
}

}  // namespace

void pack_attention_bf16_ref(const AttentionBf16Args& args,
                             const AttentionHead& kv_head,
                             std::int64_t begin,
                             std::int64_t end,
                             void* packed) {
  const std::int64_t last = std::min(args.keys, end * kAttentionPanel);
  const auto bytes = static_cast<std::size_t>(args.head_dim) * sizeof(*args.k);
  for (std::int64_t j = begin * kAttentionPanel; j < last; ++j) {
    std::memcpy(static_cast<std::uint16_t*>(packed) + j * args.head_dim,
                row_of(args.k, args.k_strides, kv_head, j),
                bytes);
    std::memcpy(values_of(args, packed) + j * args.head_dim,
                row_of(args.v, args.v_strides, kv_head, j),
                bytes);
  }
}

void attend_bf16_ref(const AttentionBf16Args& args,
                     const AttentionHead& head,
                     std::int64_t begin,
                     std::int64_t end,
                     const void* packed) {
  const auto* keys = static_cast<const std::uint16_t*>(packed);
  const auto* values = values_of(args, const_cast<void*>(packed));
  for (std::int64_t i = begin; i < end; ++i) {
    attend_query(
        args,
        args.q + head.batch * args.q_strides.batch +
            head.head * args.q_strides.head + i * args.q_strides.position,
        args.keys - args.queries + i,
        keys,
        values,
        args.out + head.batch * args.out_strides.batch +
            head.head * args.out_strides.head + i * args.out_strides.position);
  }
}

}  // namespace mantissa::kernels
