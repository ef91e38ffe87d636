#pragma once

#include <cstdint>

#include <mantissa/torch/decoder.h>

#include "kernels/decode_ops.h"

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

/// One layer of a cache of one sequence as kernels take it, as long as the
/// cache lives.
class CacheRows {
 public:
  explicit CacheRows(const KvCache::Layer& layer);

  /// Whether kernels take this layer: float32, bfloat16 or int8 on the CPU.
  static bool take(const KvCache::Layer& layer);

  /// One position, k and v [kv_heads, head_dim].
  void append(const kernels::DecodeOpsKernel& ops,
              std::int64_t past,
              const float* k,
              const float* v) const;

  /// Positions [begin, end) of key-value head `head`, for attend_one: keys,
  /// values, scales, cache, count and head_dim are set.
  kernels::AttendOneArgs block(std::int64_t head,
                               std::int64_t begin,
                               std::int64_t end) const;

  /// Asks for the keys and values of a block: they lie in memory, since all
  /// other layers' weights were read behind their last use.
  void fetch(const kernels::AttendOneArgs& block) const;

 private:
  kernels::CacheType type_;
  std::int64_t heads_;
  std::int64_t capacity_;
  std::int64_t head_dim_;
  std::int64_t row_bytes_;
  std::uint8_t* keys_;
  std::uint8_t* values_;
  float* key_scales_;  ///< null but for int8
  float* value_scales_;
};

}  // namespace mantissa
