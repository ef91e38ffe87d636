#include "torch/models/decode_step.h"

#include <algorithm>
#include <cstdint>
#include <vector>

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <c10/core/GradMode.h>
#include <c10/core/InferenceMode.h>

#include "kernels/decode_ops.h"
#include "torch/models/cache_rows.h"
#include "torch/models/decode_parts.h"
#include "torch/models/decode_products.h"
#include "torch/models/decoder_stack.h"
#include "torch/ops/on_threads.h"

namespace mantissa {
namespace {

using kernels::kAttendBlock;

float* data(const at::Tensor& x) { return x.mutable_data_ptr<float>(); }

float* attend_room(std::int64_t size) {
  static thread_local std::vector<float> room;
  room.resize(static_cast<std::size_t>(size));
  return room.data();
}

kernels::GateActivation gate_activation(Activation activation) {
  switch (activation) {
    case Activation::Silu:
      return kernels::GateActivation::Silu;
    case Activation::Gelu:
      return kernels::GateActivation::Gelu;
    case Activation::GeluTanh:
      break;
  }
  return kernels::GateActivation::GeluTanh;
}

class Step {
 public:
  // x: float32 of what has the dtype `type`.
  Step(const DecoderConfig& config,
       std::int64_t past,
       const at::Tensor& x,
       c10::ScalarType type)
      : config_(config),
        type_(type),
        past_(past),
        threads_(thread_count()),
        ops_(kernels::select_decode_ops({config.head_dim})),
        x_(x),
        normed_(room(config.hidden)),
        q_(room(config.heads * config.head_dim)),
        k_(room(config.kv_heads * config.head_dim)),
        v_(room(config.kv_heads * config.head_dim)),
        mixed_(room(config.heads * config.head_dim)),
        gate_(room(config.intermediate)),
        up_(room(config.intermediate)),
        added_(room(config.hidden)),
        products_(type) {}

  // `next`: the layer behind this one; null: none.
  void layer(const StepLayer& parts,
             const KvCache::Layer& cache,
             const RopeAngles& angles,
             const StepLayer* next) {
    norm(parts.before_attention, x_, normed_);
    products_.multiply(
        normed_,
        {{&parts.q, data(q_)}, {&parts.k, data(k_)}, {&parts.v, data(v_)}},
        {&parts.o});
    attend(parts, cache, angles);
    products_.multiply(mixed_, {{&parts.o, data(added_)}}, {&parts.gate});
    add(parts.after_attention);
    norm(parts.before_feed_forward, x_, normed_);
    if (parts.experts != nullptr) {
      added_.copy_(parts.experts->forward(in_dtype(normed_, type_)));
    } else {
      gate(parts);
      const StepProduct down = {&parts.down, data(added_)};
      if (next == nullptr) {
        products_.multiply(gate_, {down}, {});
      } else {
        products_.multiply(gate_, {down}, {&next->q, &next->k, &next->v});
      }
    }
    add(parts.after_feed_forward);
  }

  void norm(const StepNorm& norm,
            const at::Tensor& x,
            const at::Tensor& y) const {
    ops_.rms_norm({x.const_data_ptr<float>(),
                   norm.values(),
                   data(y),
                   x.numel(),
                   norm.eps,
                   config_.one_plus_norm});
  }

 private:
  at::Tensor room(std::int64_t size) const {
    return at::empty({1, 1, size}, at::TensorOptions(at::kFloat));
  }

  // x += added, behind a norm if the model has it.
  void add(const StepNorm& after) const {
    if (after) norm(after, added_, added_);
    float* x = data(x_);
    const float* more = added_.const_data_ptr<float>();
    for (std::int64_t i = 0; i < config_.hidden; ++i) x[i] += more[i];
  }

  // gate_ = activation(gate(normed)) * up(normed)
  void gate(const StepLayer& parts) {
    products_.multiply(normed_,
                       {{&parts.gate, data(gate_)}, {&parts.up, data(up_)}},
                       {&parts.down},
                       [&](std::int64_t begin, std::int64_t end) {
                         ops_.gate({data(gate_) + begin,
                                    data(up_) + begin,
                                    end - begin,
                                    gate_activation(config_.activation)});
                       });
  }

  // Heads in place after their norm, if they have one, and RoPE.
  void turn(const at::Tensor& heads,
            const StepNorm& norm,
            const RopeAngles& angles) const {
    const std::int64_t dim = config_.head_dim;
    const auto* cos = angles.cos.const_data_ptr<float>();
    const auto* sin = angles.sin.const_data_ptr<float>();
    float* x = data(heads);
    for (float* end = x + heads.numel(); x < end; x += dim) {
      if (norm) {
        ops_.rms_norm(
            {x, norm.values(), x, dim, norm.eps, config_.one_plus_norm});
      }
      ops_.rotate({x, cos, sin, dim});
    }
  }

  // Blocks of positions lie where they lie for any number of threads.
  void attend(const StepLayer& parts,
              const KvCache::Layer& cache,
              const RopeAngles& angles) {
    turn(q_, parts.q_norm, angles);
    turn(k_, parts.k_norm, angles);
    append_position(cache, past_, data(k_), data(v_));
    const std::int64_t begin =
        parts.window > 0 ? std::max<std::int64_t>(0, past_ - parts.window + 1)
                         : 0;
    const std::int64_t first = begin / kAttendBlock;
    const std::int64_t blocks = past_ / kAttendBlock - first + 1;
    const std::int64_t sharing = config_.heads / config_.kv_heads;
    const std::int64_t size = kernels::attend_part(config_.head_dim);
    parts_.resize(static_cast<std::size_t>(config_.heads * blocks * size));
    on_threads(threads_, [&](std::int64_t t) {
      const Share mine = share_of(config_.kv_heads * blocks, t, threads_);
      for (std::int64_t i = mine.begin; i < mine.end; ++i) {
        const std::int64_t block = first + i % blocks;
        const std::int64_t head = i / blocks;
        kernels::AttendOneArgs args =
            cached_block(cache,
                         head,
                         std::max(begin, block * kAttendBlock),
                         std::min(past_ + 1, (block + 1) * kAttendBlock));
        args.q = data(q_) + head * sharing * config_.head_dim;
        args.heads = sharing;
        args.scale = static_cast<float>(config_.attention_scale);
        args.cap = static_cast<float>(config_.attention_cap);
        args.scratch =
            attend_room(kernels::attend_scratch(sharing, config_.head_dim));
        args.parts =
            parts_.data() + (head * sharing * blocks + i % blocks) * size;
        args.part_stride = blocks * size;
        ops_.attend_one(args);
      }
    });
    for (std::int64_t h = 0; h < config_.heads; ++h) {
      ops_.merge_parts({parts_.data() + h * blocks * size,
                        blocks,
                        config_.head_dim,
                        data(mixed_) + h * config_.head_dim});
    }
  }

  const DecoderConfig& config_;
  c10::ScalarType type_;  // of the model's activations
  std::int64_t past_;
  std::int64_t threads_;
  const kernels::DecodeOpsKernel& ops_;
  at::Tensor x_;
  at::Tensor normed_;
  at::Tensor q_, k_, v_;  // of the new token
  at::Tensor mixed_;      // the heads' results
  at::Tensor gate_, up_;
  at::Tensor added_;
  std::vector<float> parts_;  // of the heads' blocks
  StepProducts products_;
};

bool fits(const at::Tensor& ids, const KvCache* cache) {
  return cache != nullptr && ids.numel() == 1 && cache->batch() == 1 &&
         cached_for_kernels(cache->layer(0)) &&
         (!c10::GradMode::is_enabled() || c10::InferenceMode::is_enabled());
}

}  // namespace

at::Tensor decode_step(const DecoderConfig& config,
                       const DecoderStack& stack,
                       const at::Tensor& ids,
                       const KvCache* cache,
                       std::int64_t past) {
  if (!fits(ids, cache)) return {};
  std::vector<StepLayer> layers;
  StepNorm last;
  if (!step_layers(stack, layers, last)) return {};
  const at::Tensor embedded = stack.embed(ids);
  const c10::ScalarType type = embedded.scalar_type();
  if (!takes_step(type) || !embedded.is_cpu()) return {};
  const at::Tensor x =
      embedded.to(at::kFloat, /*non_blocking=*/false, /*copy=*/true)
          .contiguous();
  const std::vector<RopeAngles> angles = stack.angles(past, x);
  Step step(config, past, x, type);
  for (std::size_t i = 0; i < layers.size(); ++i) {
    step.layer(layers[i],
               cache->layer(i),
               angles[stack.rope_of_layer(i)],
               i + 1 < layers.size() ? &layers[i + 1] : nullptr);
  }
  at::Tensor hidden = at::empty_like(x);
  step.norm(last, x, hidden);
  return in_dtype(hidden, type);
}

}  // namespace mantissa
