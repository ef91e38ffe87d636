#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include <ATen/core/Tensor.h>

#include <mantissa/torch/decoder.h>

#include "torch/models/cache_rows.h"
#include "torch/models/decode_parts.h"
#include "torch/models/decode_products.h"
#include "torch/models/rope.h"

namespace mantissa {

/// Angles of one position after the other, made for a block of them at once.
class StepAngles {
 public:
  /// Cosines and sines of a position, [head_dim] each.
  struct Position {
    const float* cos;
    const float* sin;
  };

  /// For position `past` by each of `ropes`.
  void take(const std::vector<Rope>& ropes, std::int64_t past);
  Position of(std::size_t rope) const;

 private:
  struct Block {
    at::Tensor frequencies;  ///< of the rope that it is of
    double factor = 1;
    std::int64_t begin = 0;
    RopeAngles angles;
  };

  std::vector<Block> blocks_;
  std::int64_t past_ = 0;
};

/// What decode_step() keeps from one token of a sequence to the next: nothing
/// that changes a result.
class StepMemory {
 public:
  explicit StepMemory(const KvCache& cache);

  /// Buffers for the next token of a model; `type`: the dtype of its
  /// activations.
  void take(const DecoderConfig& config, c10::ScalarType type);

  StepParts parts;
  std::vector<CacheRows> cache;  ///< of each layer
  StepAngles angles;
  std::optional<StepProducts> products;
  // float32 [1, 1, size]
  at::Tensor x;  ///< what layers add to
  at::Tensor normed;
  at::Tensor q, k, v;  ///< of the token
  at::Tensor mixed;    ///< the heads' results
  at::Tensor gate, up;
  at::Tensor added;
  std::vector<float> blocks;  ///< of positions, each head's results
};

}  // namespace mantissa
