#pragma once

#include <cstdint>

#include <mantissa/torch/decoder.h>

#include "kernels/decode_ops_args.h"

namespace mantissa {

/// Keys and values k, v [B, kv_heads, T, head_dim] behind `past` positions, as
/// the cache holds them (kernels/decode_ops_args.h says how they round).
void append_positions(const KvCache::Layer& layer,
                      std::int64_t past,
                      const at::Tensor& k,
                      const at::Tensor& v);

/// The first `count` positions of keys or values, [B, kv_heads, count,
/// head_dim] in `dtype`; a view where that is the cache's own. `scales` is
/// undefined but for int8.
at::Tensor first_positions(const at::Tensor& rows,
                           const at::Tensor& scales,
                           std::int64_t count,
                           c10::ScalarType dtype);

/// Whether append_position() and cached_block() take this layer: float32,
/// bfloat16 or int8 on the CPU.
bool cached_for_kernels(const KvCache::Layer& layer);

/// One position of one sequence, k and v [kv_heads, head_dim].
void append_position(const KvCache::Layer& layer,
                     std::int64_t past,
                     const float* k,
                     const float* v);

/// Positions [begin, end) of key-value head `head` of the one sequence, for
/// attend_one: keys, values, scales, cache, count and head_dim are set.
kernels::AttendOneArgs cached_block(const KvCache::Layer& layer,
                                    std::int64_t head,
                                    std::int64_t begin,
                                    std::int64_t end);

}  // namespace mantissa
