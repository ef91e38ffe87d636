#include "torch/models/decode_step.h"

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <vector>

#include <ATen/ops/empty_like.h>
#include <c10/core/GradMode.h>
#include <c10/core/InferenceMode.h>

#include "core/aligned_bytes.h"
#include "kernels/decode_ops.h"
#include "kernels/linear_lowbit.h"
#include "kernels/lowbit_activations.h"
#include "kernels/quantize_panels.h"
#include "torch/models/decoder_stack.h"
#include "torch/ops/on_threads.h"
#include "torch/tensor/quantized_tensor_impl.h"

namespace mantissa {
namespace {

using kernels::LowbitWeightView;

// One packed linear.
struct Product {
  LowbitWeightView w;
  const float* bias = nullptr;

  std::int64_t tiles() const {
    return (w.n + kernels::kLowbitTile - 1) / kernels::kLowbitTile;
  }
};

struct Norm {
  const float* weight = nullptr;  // null: there is none
  float eps = 0;
};

struct LayerParts {
  Norm input_norm;
  Product q, k, v, o;
  Norm q_norm, k_norm;
  Norm attention_norm;
  Product gate, up, down;
  std::int64_t window = 0;
};

bool plain_float(const at::Tensor& tensor) {
  return tensor.scalar_type() == at::kFloat && tensor.is_contiguous() &&
         tensor.is_cpu() && quantized_impl(tensor) == nullptr;
}

// False where the linear is not packed for groups of `group` values; 0 takes
// the first linear's.
bool take(const LinearPtr& linear, std::int64_t& group, Product& out) {
  const QuantizedTensorImpl* impl = quantized_impl(linear->weight);
  if (impl == nullptr || impl->training()) return false;
  const WeightState& state = impl->state();
  if (state.packed == nullptr || state.transposed) return false;
  const std::int64_t own = state.packed_for == Int8Compute::Group32   ? 32
                           : state.packed_for == Int8Compute::Group64 ? 64
                                                                      : 0;
  if (own == 0 || (group != 0 && own != group)) return false;
  group = own;
  out.w = state.packed->view();
  if (!linear->bias.defined()) return true;
  if (!plain_float(linear->bias)) return false;
  out.bias = linear->bias.const_data_ptr<float>();
  return true;
}

bool take(const RmsNorm* norm, Norm& out) {
  if (norm == nullptr) return true;
  if (!plain_float(norm->weight())) return false;
  out = {norm->weight().const_data_ptr<float>(),
         static_cast<float>(norm->eps())};
  return true;
}

bool take(const DecoderLayer& layer, std::int64_t& group, LayerParts& out) {
  const Attention& attention = layer.attention();
  const auto* mlp = dynamic_cast<const GatedMlp*>(&layer.feed_forward());
  out.window = attention.window();
  return mlp != nullptr && take(&layer.input_norm(), out.input_norm) &&
         take(attention.q(), group, out.q) &&
         take(attention.k(), group, out.k) &&
         take(attention.v(), group, out.v) &&
         take(attention.o(), group, out.o) &&
         take(attention.q_norm(), out.q_norm) &&
         take(attention.k_norm(), out.k_norm) &&
         take(&layer.attention_norm(), out.attention_norm) &&
         take(mlp->gate(), group, out.gate) && take(mlp->up(), group, out.up) &&
         take(mlp->down(), group, out.down);
}

// What one thread keeps between calls.
struct Scratch {
  kernels::LowbitActivationBuffer codes;
  std::vector<float> normed;
  std::vector<float> scores;
  std::vector<float> head;  // q, k and v of one head
  AlignedBytes workspace{static_cast<std::size_t>(kernels::kLowbitWorkspace)};
};

Scratch& scratch() {
  static thread_local Scratch own;
  return own;
}

// The share of thread `t` of [0, count).
struct Share {
  std::int64_t begin;
  std::int64_t end;
};
Share share_of(std::int64_t count, std::int64_t t, std::int64_t threads) {
  return {count * t / threads, count * (t + 1) / threads};
}

class Step {
 public:
  Step(const DecoderConfig& config,
       std::int64_t group,
       std::int64_t past,
       float* x)
      : config_(config),
        group_(group),
        past_(past),
        threads_(thread_count()),
        x_(x),
        linear_(kernels::select_linear_lowbit({4, 1, 16, 32})),
        quantize_(kernels::select_quantize_panels({1, 32, group})),
        ops_(kernels::select_decode_ops({config.head_dim})),
        q_(static_cast<std::size_t>(config.heads * config.head_dim)),
        k_(static_cast<std::size_t>(config.kv_heads * config.head_dim)),
        v_(k_.size()),
        mixed_(q_.size()),
        gate_(static_cast<std::size_t>(config.intermediate)),
        up_(gate_.size()),
        added_(static_cast<std::size_t>(config.hidden)) {}

  void layer(const LayerParts& parts,
             const KvCache::Layer& cache,
             const RopeAngles& angles) {
    on_threads(threads_, [&](std::int64_t t) {
      normed(parts.input_norm);
      run_in_turn(
          {&parts.q, &parts.k, &parts.v}, {q_.data(), k_.data(), v_.data()}, t);
    });
    on_threads(threads_, [&](std::int64_t t) {
      const Share heads = share_of(config_.heads, t, threads_);
      for (std::int64_t h = heads.begin; h < heads.end; ++h) {
        attend(parts, cache, angles, h);
      }
    });
    on_threads(threads_, [&](std::int64_t t) {
      quantized(mixed_.data(), config_.heads * config_.head_dim);
      add_product(parts.o, t);
    });
    on_threads(threads_, [&](std::int64_t t) {
      normed(parts.attention_norm);
      const Share tiles = share_of(parts.gate.tiles(), t, threads_);
      run(parts.gate, tiles, gate_.data());
      run(parts.up, tiles, up_.data());
      const std::int64_t begin = tiles.begin * kernels::kLowbitTile;
      const std::int64_t end =
          std::min(tiles.end * kernels::kLowbitTile, parts.gate.w.n);
      if (begin < end) {
        ops_.gate({gate_.data() + begin,
                   up_.data() + begin,
                   end - begin,
                   activation()});
      }
    });
    on_threads(threads_, [&](std::int64_t t) {
      quantized(gate_.data(), config_.intermediate);
      add_product(parts.down, t);
    });
  }

  void norm(const Norm& norm, float* y) const {
    ops_.rms_norm(
        {x_, norm.weight, y, config_.hidden, norm.eps, config_.one_plus_norm});
  }

 private:
  // x as this thread's int8 codes.
  void quantized(const float* x, std::int64_t size) const {
    Scratch& own = scratch();
    own.codes.resize(1, size, group_, /*zeros=*/false);
    quantize_.run(own.codes.fill_from(x, size), 0, 1);
  }

  void normed(const Norm& how) const {
    Scratch& own = scratch();
    own.normed.resize(static_cast<std::size_t>(config_.hidden));
    norm(how, own.normed.data());
    quantized(own.normed.data(), config_.hidden);
  }

  void run(const Product& product, Share tiles, float* y) const {
    if (tiles.begin >= tiles.end) return;
    Scratch& own = scratch();
    kernels::LinearLowbitArgs args;
    args.w = product.w;
    args.x = own.codes.view();
    args.bias = product.bias;
    args.y = y;
    args.y_stride = product.w.n;
    linear_.run(args, {tiles.begin, tiles.end, own.workspace.data()});
  }

  // Thread t's share of all tiles of some products.
  void run_in_turn(std::initializer_list<const Product*> products,
                   std::initializer_list<float*> outs,
                   std::int64_t t) const {
    std::int64_t total = 0;
    for (const Product* product : products) total += product->tiles();
    const Share mine = share_of(total, t, threads_);
    std::int64_t first = 0;
    auto out = outs.begin();
    for (const Product* product : products) {
      const std::int64_t count = product->tiles();
      run(*product,
          {std::clamp<std::int64_t>(mine.begin - first, 0, count),
           std::clamp<std::int64_t>(mine.end - first, 0, count)},
          *out++);
      first += count;
    }
  }

  // x += the product, thread t's columns.
  void add_product(const Product& product, std::int64_t t) {
    const Share tiles = share_of(product.tiles(), t, threads_);
    run(product, tiles, added_.data());
    const std::int64_t end =
        std::min(tiles.end * kernels::kLowbitTile, product.w.n);
    for (std::int64_t j = tiles.begin * kernels::kLowbitTile; j < end; ++j) {
      x_[j] += added_[static_cast<std::size_t>(j)];
    }
  }

  // A head's vector after its norm, if it has one, and RoPE.
  void turn(const float* in,
            const Norm& norm,
            const RopeAngles& angles,
            float* out) const {
    const std::int64_t dim = config_.head_dim;
    Scratch& own = scratch();
    if (norm.weight != nullptr) {
      own.normed.resize(static_cast<std::size_t>(dim));
      ops_.rms_norm({in,
                     norm.weight,
                     own.normed.data(),
                     dim,
                     norm.eps,
                     config_.one_plus_norm});
      in = own.normed.data();
    }
    const auto* cos = angles.cos.const_data_ptr<float>();
    const auto* sin = angles.sin.const_data_ptr<float>();
    const std::int64_t half = dim / 2;
    for (std::int64_t i = 0; i < half; ++i) {
      out[i] = in[i] * cos[i] - in[i + half] * sin[i];
      out[i + half] = in[i + half] * cos[i + half] + in[i] * sin[i + half];
    }
  }

  void attend(const LayerParts& parts,
              const KvCache::Layer& cache,
              const RopeAngles& angles,
              std::int64_t head) {
    const std::int64_t dim = config_.head_dim;
    const std::int64_t sharing = config_.heads / config_.kv_heads;
    const std::int64_t kv = head / sharing;
    Scratch& own = scratch();
    own.head.resize(static_cast<std::size_t>(2 * dim));
    float* q = own.head.data();
    float* k = q + dim;
    const float* v = v_.data() + kv * dim;
    turn(q_.data() + head * dim, parts.q_norm, angles, q);
    turn(k_.data() + kv * dim, parts.k_norm, angles, k);
    const std::int64_t capacity = cache.keys.size(2);
    auto* keys = cache.keys.mutable_data_ptr<float>() + kv * capacity * dim;
    auto* values = cache.values.mutable_data_ptr<float>() + kv * capacity * dim;
    const std::int64_t begin =
        parts.window > 0 ? std::max<std::int64_t>(0, past_ - parts.window + 1)
                         : 0;
    kernels::AttendOneArgs args;
    args.q = q;
    args.keys = keys + begin * dim;
    args.values = values + begin * dim;
    args.key = k;
    args.value = v;
    args.count = past_ - begin;
    args.head_dim = dim;
    args.scale = static_cast<float>(config_.attention_scale);
    args.cap = static_cast<float>(config_.attention_cap);
    own.scores.resize(static_cast<std::size_t>(args.count) + 16);
    args.scores = own.scores.data();
    args.out = mixed_.data() + head * dim;
    ops_.attend_one(args);
    // The first head of a group appends; the others read what is before it.
    if (head % sharing != 0) return;
    std::copy_n(k, dim, keys + past_ * dim);
    std::copy_n(v, dim, values + past_ * dim);
  }

  kernels::GateActivation activation() const {
    switch (config_.activation) {
      case Activation::Silu:
        return kernels::GateActivation::Silu;
      case Activation::Gelu:
        return kernels::GateActivation::Gelu;
      case Activation::GeluTanh:
        break;
    }
    return kernels::GateActivation::GeluTanh;
  }

  const DecoderConfig& config_;
  std::int64_t group_;
  std::int64_t past_;
  std::int64_t threads_;
  float* x_;
  const kernels::LinearLowbitKernel& linear_;
  const kernels::QuantizePanelsKernel& quantize_;
  const kernels::DecodeOpsKernel& ops_;
  std::vector<float> q_, k_, v_;  // of the new token
  std::vector<float> mixed_;      // the heads' results
  std::vector<float> gate_, up_;
  std::vector<float> added_;
};

bool fits(const DecoderConfig& config,
          const at::Tensor& ids,
          const KvCache* cache) {
  if (cache == nullptr || ids.numel() != 1 || cache->batch() != 1) return false;
  const at::Tensor& keys = cache->layer(0).keys;
  return keys.is_cpu() && keys.scalar_type() == at::kFloat &&
         config.head_dim % 16 == 0 && !config.feedforward_norms &&
         (!c10::GradMode::is_enabled() || c10::InferenceMode::is_enabled());
}

}  // namespace

at::Tensor decode_step(const DecoderConfig& config,
                       const DecoderStack& stack,
                       const at::Tensor& ids,
                       const KvCache* cache,
                       std::int64_t past) {
  if (!fits(config, ids, cache)) return {};
  std::vector<LayerParts> layers(stack.layers().size());
  std::int64_t group = 0;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    if (!take(*stack.layers()[i], group, layers[i])) return {};
  }
  Norm last;
  if (!take(&stack.norm(), last)) return {};
  const at::Tensor x = stack.embed(ids).contiguous().clone();
  if (x.scalar_type() != at::kFloat) return {};
  const std::vector<RopeAngles> angles = stack.angles(past, x);
  Step step(config, group, past, x.mutable_data_ptr<float>());
  for (std::size_t i = 0; i < layers.size(); ++i) {
    step.layer(layers[i], cache->layer(i), angles[stack.rope_of_layer(i)]);
  }
  at::Tensor hidden = at::empty_like(x);
  step.norm(last, hidden.mutable_data_ptr<float>());
  return hidden;
}

}  // namespace mantissa
