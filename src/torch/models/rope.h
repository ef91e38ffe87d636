#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

#include <mantissa/torch/decoder_config.h>

namespace mantissa {

/// Cosines and sines of the positions of one forward pass, [T, head_dim] each,
/// both halves of the last dimension equal.
struct RopeAngles {
  at::Tensor cos;
  at::Tensor sin;
};

/// Rotary position embedding (arXiv:2104.09864) of one set of parameters, by
/// the formulas of Transformers in their order in float32.
class Rope {
 public:
  Rope(const RopeConfig& config, std::int64_t head_dim);

  /// float32 [head_dim / 2]
  const at::Tensor& inverse_frequencies() const { return inverse_; }
  /// What cos and sin are multiplied by.
  double attention_factor() const { return factor_; }
  /// Angles of positions [begin, begin + count), computed in float32 and cast
  /// to `options`.
  RopeAngles angles(std::int64_t begin,
                    std::int64_t count,
                    const at::TensorOptions& options) const;

 private:
  at::Tensor inverse_;
  double factor_ = 1;
};

/// x [.., T, head_dim] rotated, first half against second half.
at::Tensor rotate(const at::Tensor& x, const RopeAngles& angles);

}  // namespace mantissa
