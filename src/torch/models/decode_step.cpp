#include "torch/models/decode_step.h"

#include <algorithm>
#include <cstdint>
#include <vector>

#include <ATen/ops/empty_like.h>
#include <c10/core/GradMode.h>
#include <c10/core/InferenceMode.h>

#include <mantissa/primitives/convert.h>

#include "kernels/decode_ops.h"
#include "torch/models/decoder_stack.h"
#include "torch/models/step_memory.h"
#include "torch/ops/on_threads.h"
#include "torch/tensor/host_tensors.h"

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
  // memory.x: the embedding, of the dtype `type`.
  Step(const DecoderConfig& config,
       std::int64_t past,
       c10::ScalarType type,
       StepMemory& memory)
      : config_(config),
        type_(type),
        past_(past),
        threads_(thread_count()),
        ops_(kernels::select_decode_ops({config.head_dim})),
        x_(memory.x),
        memory_(memory),
        products_(*memory.products) {}

  // `next`: the layer behind this one; null: none.
  void layer(const StepLayer& parts,
             const CacheRows& cache,
             const StepAngles::Position& angles,
             const StepLayer* next) {
    norm(parts.before_attention, x_, memory_.normed);
    products_.multiply(memory_.normed,
                       {{&parts.q, data(memory_.q)},
                        {&parts.k, data(memory_.k)},
                        {&parts.v, data(memory_.v)}},
                       {&parts.o});
    attend(parts, cache, angles);
    products_.multiply(
        memory_.mixed, {{&parts.o, data(memory_.added)}}, {&parts.gate});
    add(parts.after_attention);
    norm(parts.before_feed_forward, x_, memory_.normed);
    if (parts.experts != nullptr) {
      memory_.added.copy_(
          parts.experts->forward(in_dtype(memory_.normed, type_)));
    } else {
      gate(parts);
      const StepProduct down = {&parts.down, data(memory_.added)};
      if (next == nullptr) {
        products_.multiply(memory_.gate, {down}, {});
      } else {
        products_.multiply(
            memory_.gate, {down}, {&next->q, &next->k, &next->v});
      }
    }
    add(parts.after_feed_forward);
  }

  void norm(const StepNorm& norm,
            const at::Tensor& x,
            const at::Tensor& y) const {
    ops_.rms_norm({x.const_data_ptr<float>(),
                   norm.weight.data(),
                   data(y),
                   x.numel(),
                   norm.eps,
                   config_.one_plus_norm});
  }

 private:
  // x += added, behind a norm if the model has it.
  void add(const StepNorm& after) const {
    if (after) norm(after, memory_.added, memory_.added);
    float* x = data(x_);
    const float* more = memory_.added.const_data_ptr<float>();
    for (std::int64_t i = 0; i < config_.hidden; ++i) x[i] += more[i];
  }

  // memory_.gate = activation(gate(normed)) * up(normed)
  void gate(const StepLayer& parts) {
    products_.multiply(
        memory_.normed,
        {{&parts.gate, data(memory_.gate)}, {&parts.up, data(memory_.up)}},
        {&parts.down},
        [&](std::int64_t begin, std::int64_t end) {
          ops_.gate({data(memory_.gate) + begin,
                     data(memory_.up) + begin,
                     end - begin,
                     gate_activation(config_.activation)});
        });
  }

  // Heads in place after their norm, if they have one, and RoPE.
  void turn(const at::Tensor& heads,
            const StepNorm& norm,
            const StepAngles::Position& angles) const {
    const std::int64_t dim = config_.head_dim;
    float* x = data(heads);
    for (float* end = x + heads.numel(); x < end; x += dim) {
      if (norm) {
        ops_.rms_norm(
            {x, norm.weight.data(), x, dim, norm.eps, config_.one_plus_norm});
      }
      ops_.rotate({x, angles.cos, angles.sin, dim});
    }
  }

  // Blocks of positions lie where they lie for any number of threads.
  void attend(const StepLayer& parts,
              const CacheRows& cache,
              const StepAngles::Position& angles) {
    turn(memory_.q, parts.q_norm, angles);
    turn(memory_.k, parts.k_norm, angles);
    cache.append(ops_, past_, data(memory_.k), data(memory_.v));
    const std::int64_t begin =
        parts.window > 0 ? std::max<std::int64_t>(0, past_ - parts.window + 1)
                         : 0;
    const std::int64_t first = begin / kAttendBlock;
    const std::int64_t blocks = past_ / kAttendBlock - first + 1;
    const std::int64_t sharing = config_.heads / config_.kv_heads;
    const std::int64_t size = kernels::attend_part(config_.head_dim);
    memory_.blocks.resize(
        static_cast<std::size_t>(config_.heads * blocks * size));
    const auto rows_of = [&](std::int64_t i) {
      const std::int64_t block = first + i % blocks;
      return cache.block(i / blocks,
                         std::max(begin, block * kAttendBlock),
                         std::min(past_ + 1, (block + 1) * kAttendBlock));
    };
    on_threads(threads_, [&](std::int64_t t) {
      const Share mine = share_of(config_.kv_heads * blocks, t, threads_);
      if (mine.begin < mine.end) cache.fetch(rows_of(mine.begin));
      for (std::int64_t i = mine.begin; i < mine.end; ++i) {
        if (i + 1 < mine.end) cache.fetch(rows_of(i + 1));
        const std::int64_t head = i / blocks;
        kernels::AttendOneArgs args = rows_of(i);
        args.q = data(memory_.q) + head * sharing * config_.head_dim;
        args.heads = sharing;
        args.scale = static_cast<float>(config_.attention_scale);
        args.cap = static_cast<float>(config_.attention_cap);
        args.scratch =
            attend_room(kernels::attend_scratch(sharing, config_.head_dim));
        args.parts = memory_.blocks.data() +
                     (head * sharing * blocks + i % blocks) * size;
        args.part_stride = blocks * size;
        ops_.attend_one(args);
      }
    });
    for (std::int64_t h = 0; h < config_.heads; ++h) {
      ops_.merge_parts({memory_.blocks.data() + h * blocks * size,
                        blocks,
                        config_.head_dim,
                        data(memory_.mixed) + h * config_.head_dim});
    }
  }

  const DecoderConfig& config_;
  c10::ScalarType type_;  // of the model's activations
  std::int64_t past_;
  std::int64_t threads_;
  const kernels::DecodeOpsKernel& ops_;
  const at::Tensor& x_;
  StepMemory& memory_;
  StepProducts& products_;
};

bool fits(const at::Tensor& ids, const KvCache* cache) {
  return cache != nullptr && ids.numel() == 1 && cache->batch() == 1 &&
         CacheRows::take(cache->layer(0)) &&
         (!c10::GradMode::is_enabled() || c10::InferenceMode::is_enabled());
}

}  // namespace

at::Tensor decode_step(const DecoderConfig& config,
                       const DecoderStack& stack,
                       const at::Tensor& ids,
                       const KvCache* cache,
                       std::int64_t past,
                       std::shared_ptr<StepMemory>& memory) {
  if (!fits(ids, cache)) return {};
  if (memory == nullptr) memory = std::make_shared<StepMemory>(*cache);
  if (!memory->parts.take(stack)) return {};
  const at::Tensor embedded = stack.embed(ids);
  const c10::ScalarType type = embedded.scalar_type();
  if (!takes_step(type) || !embedded.is_cpu()) return {};
  memory->take(config, type);
  memory->angles.take(stack.ropes(), past);
  convert(host_view(embedded.contiguous()),
          {DType::Float32,
           shape_of(memory->x),
           static_cast<std::byte*>(memory->x.mutable_data_ptr())});
  Step step(config, past, type, *memory);
  const std::vector<StepLayer>& layers = memory->parts.layers();
  for (std::size_t i = 0; i < layers.size(); ++i) {
    step.layer(layers[i],
               memory->cache[i],
               memory->angles.of(stack.rope_of_layer(i)),
               i + 1 < layers.size() ? &layers[i + 1] : nullptr);
  }
  at::Tensor hidden = at::empty_like(memory->x);
  step.norm(memory->parts.last(), memory->x, hidden);
  return in_dtype(hidden, type);
}

}  // namespace mantissa
