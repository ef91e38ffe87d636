#include "torch/ops/attention_bf16.h"

#include <algorithm>
#include <cstdint>
#include <vector>

#include <ATen/ops/empty.h>
#include <c10/core/GradMode.h>

#include "core/aligned_bytes.h"
#include "kernels/attention_bf16.h"
#include "torch/ops/on_threads.h"
#include "torch/tensor/quantized_tensor_impl.h"

namespace mantissa {
namespace {

using at::Tensor;
using kernels::AttentionBf16Args;
using kernels::AttentionBf16Kernel;
using kernels::AttentionHead;
using kernels::kAttentionPanel;

// Fewer would not fill a tile of any row.
constexpr std::int64_t kLeastQueries = kernels::kAttentionVectorTile;

bool takes(const Tensor& x) {
  return x.is_cpu() && x.layout() == at::kStrided && x.dim() == 4 &&
         x.stride(3) == 1 && quantized_impl(x) == nullptr &&
         !(c10::GradMode::is_enabled() && x.requires_grad());
}

kernels::AttentionStrides strides_of(const Tensor& x) {
  return {x.stride(0), x.stride(1), x.stride(2)};
}

const std::uint16_t* bits_of(const Tensor& x) {
  return reinterpret_cast<const std::uint16_t*>(
      x.const_data_ptr<at::BFloat16>());
}

// One call: heads of keys are packed by all threads, then tiles of queries
// attend.
class Call {
 public:
  Call(const AttentionBf16Args& args, std::int64_t batches)
      : args_(args),
        kernel_(kernels::select_attention_bf16({args.head_dim})),
        batches_(batches),
        threads_(thread_count()),
        head_bytes_(kernels::attention_bf16_bytes(args.keys, args.head_dim)),
        packed_(
            static_cast<std::size_t>(batches * args.kv_heads * head_bytes_)) {}

  void run() {
    on_threads(threads_, [&](std::int64_t t) { pack(t); });
    count_costs();
    on_threads(threads_, [&](std::int64_t t) { attend(t); });
  }

 private:
  std::uint8_t* packed(std::int64_t head) const {
    return packed_.as<std::uint8_t>() + head * head_bytes_;
  }

  // Panels that somebody sees.
  void pack(std::int64_t t) const {
    const std::int64_t first =
        kernels::first_seen(args_, args_.keys - args_.queries) /
        kAttentionPanel;
    const std::int64_t count = kernels::attention_panels(args_.keys) - first;
    const std::int64_t all = batches_ * args_.kv_heads * count;
    for (std::int64_t i = all * t / threads_; i < all * (t + 1) / threads_;
         ++i) {
      const std::int64_t head = i / count;
      const std::int64_t panel = first + i % count;
      kernel_.pack(args_,
                   {head / args_.kv_heads, head % args_.kv_heads},
                   panel,
                   panel + 1,
                   packed(head));
    }
  }

  // Keys that the tiles of a head before each of them go over.
  void count_costs() {
    costs_ = {0};
    const std::int64_t past = args_.keys - args_.queries;
    for (std::int64_t i = 0; i < args_.queries; i += kernel_.tile) {
      costs_.push_back(costs_.back() + past + i + kernel_.tile -
                       kernels::first_seen(args_, past + i));
    }
  }

  // The tile of all heads where thread t begins.
  std::int64_t first_tile(std::int64_t t) const {
    const auto tiles = static_cast<std::int64_t>(costs_.size()) - 1;
    const std::int64_t heads = batches_ * args_.heads;
    const double cost = static_cast<double>(costs_.back()) *
                        static_cast<double>(heads * t) /
                        static_cast<double>(threads_);
    const auto head =
        static_cast<std::int64_t>(cost / static_cast<double>(costs_.back()));
    if (head >= heads) return heads * tiles;
    const double rest = cost - static_cast<double>(head * costs_.back());
    const auto at = std::ranges::lower_bound(
        costs_.begin(), costs_.end() - 1, rest, {}, [](std::int64_t before) {
          return static_cast<double>(before);
        });
    return head * tiles + (at - costs_.begin());
  }

  void attend(std::int64_t t) const {
    const auto tiles = static_cast<std::int64_t>(costs_.size()) - 1;
    const std::int64_t sharing = args_.heads / args_.kv_heads;
    const std::int64_t end = first_tile(t + 1);
    for (std::int64_t i = first_tile(t); i < end;) {
      const std::int64_t which = i / tiles;
      const std::int64_t last = std::min(end, (which + 1) * tiles);
      const AttentionHead head = {which / args_.heads, which % args_.heads};
      kernel_.attend(
          args_,
          head,
          (i - which * tiles) * kernel_.tile,
          std::min(args_.queries, (last - which * tiles) * kernel_.tile),
          packed(head.batch * args_.kv_heads + head.head / sharing));
      i = last;
    }
  }

  const AttentionBf16Args& args_;
  const AttentionBf16Kernel& kernel_;
  std::int64_t batches_;
  std::int64_t threads_;
  std::int64_t head_bytes_;
  AlignedBytes packed_;
  std::vector<std::int64_t> costs_;
};

}  // namespace

bool takes_attention_bf16(const Tensor& q,
                          const Tensor& k,
                          const Tensor& v,
                          const CausalAttention& options) {
  if (!kernels::host_caps().avx512bf16 || !takes(q) || !takes(k) || !takes(v)) {
    return false;
  }
  return q.size(2) >= kLeastQueries && q.size(3) % 2 == 0 &&
         q.size(3) <= kernels::kAttentionBf16HeadDim && options.scale > 0 &&
         (q.scalar_type() == at::kFloat || q.scalar_type() == at::kBFloat16) &&
         k.scalar_type() == at::kBFloat16 && v.scalar_type() == at::kBFloat16;
}

Tensor attention_bf16(const Tensor& q,
                      const Tensor& k,
                      const Tensor& v,
                      const CausalAttention& options) {
  const Tensor wide = q.to(at::kFloat);
  Tensor out =
      at::empty({q.size(0), q.size(2), q.size(1), q.size(3)}, wide.options())
          .transpose(1, 2);
  if (out.numel() == 0) return out.to(q.scalar_type());
  AttentionBf16Args args;
  args.q = wide.const_data_ptr<float>();
  args.k = bits_of(k);
  args.v = bits_of(v);
  args.out = out.mutable_data_ptr<float>();
  args.q_strides = strides_of(wide);
  args.k_strides = strides_of(k);
  args.v_strides = strides_of(v);
  args.out_strides = strides_of(out);
  args.heads = q.size(1);
  args.kv_heads = k.size(1);
  args.queries = q.size(2);
  args.keys = k.size(2);
  args.head_dim = q.size(3);
  args.window = options.window;
  args.scale = static_cast<float>(options.scale);
  args.cap = static_cast<float>(options.cap);
  Call(args, q.size(0)).run();
  return out.to(q.scalar_type());
}

}  // namespace mantissa
