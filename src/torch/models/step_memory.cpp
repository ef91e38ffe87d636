#include "torch/models/step_memory.h"

#include <ATen/ops/empty.h>
#include <c10/core/InferenceMode.h>

namespace mantissa {
namespace {

constexpr std::int64_t kPositions = 64;  // of a block of angles

void fit(at::Tensor& x, std::int64_t size) {
  // A tensor made in InferenceMode is not written outside it.
  if (x.defined() && x.numel() == size &&
      x.is_inference() == c10::InferenceMode::is_enabled()) {
    return;
  }
  x = at::empty({1, 1, size}, at::TensorOptions(at::kFloat));
}

}  // namespace

void StepAngles::take(const std::vector<Rope>& ropes, std::int64_t past) {
  past_ = past;
  blocks_.resize(ropes.size());
  const std::int64_t begin = past / kPositions * kPositions;
  for (std::size_t i = 0; i < ropes.size(); ++i) {
    const Rope& rope = ropes[i];
    Block& block = blocks_[i];
    if (block.angles.cos.defined() && block.begin == begin &&
        block.frequencies.is_same(rope.inverse_frequencies()) &&
        block.factor == rope.attention_factor()) {
      continue;
    }
    block = {rope.inverse_frequencies(),
             rope.attention_factor(),
             begin,
             rope.angles(begin, kPositions, at::TensorOptions(at::kFloat))};
  }
}

StepAngles::Position StepAngles::of(std::size_t rope) const {
  const Block& block = blocks_[rope];
  const std::int64_t at = (past_ - block.begin) * block.angles.cos.size(1);
  return {block.angles.cos.const_data_ptr<float>() + at,
          block.angles.sin.const_data_ptr<float>() + at};
}

StepMemory::StepMemory(const KvCache& of) {
  for (std::size_t i = 0; i < of.layers(); ++i) {
    cache.emplace_back(of.layer(i));
  }
}

void StepMemory::take(const DecoderConfig& config, c10::ScalarType type) {
  if (!products || products->type() != type) products.emplace(type);
  products->begin();
  fit(x, config.hidden);
  fit(normed, config.hidden);
  fit(q, config.heads * config.head_dim);
  fit(k, config.kv_heads * config.head_dim);
  fit(v, config.kv_heads * config.head_dim);
  fit(mixed, config.heads * config.head_dim);
  fit(gate, config.intermediate);
  fit(up, config.intermediate);
  fit(added, config.hidden);
}

}  // namespace mantissa
