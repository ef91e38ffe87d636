#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include <torch/nn/module.h>

#include <mantissa/core/api.h>
#include <mantissa/torch/decoder_config.h>

namespace torch::nn {
class LinearImpl;
}

namespace mantissa {

class StepMemory;

/// Keys and values of the positions that a decoder has seen, allocated once for
/// `capacity` positions of `batch` sequences and written in place: float32,
/// bfloat16, float16, or int8 codes with a scale of every head and position
/// (symmetric: max|x| / 127, codes rounded half to even). Whatever reads them,
/// the newest position's own token too, sees what is stored.
class MANTISSA_API KvCache {
 public:
  /// Keys and values of one layer, [B, kv_heads, capacity, head_dim]. A model
  /// writes where they lie: they are not to be resized or set to others.
  struct Layer {
    at::Tensor keys;
    at::Tensor values;
    at::Tensor key_scales;  ///< [B, kv_heads, capacity] float32, of int8 alone
    at::Tensor value_scales;  ///< the same
  };

  /// Throws c10::ValueError for a batch or a capacity below 1, c10::TypeError
  /// for another dtype, and for int8 elsewhere than on the CPU.
  KvCache(const DecoderConfig& config,
          std::int64_t batch,
          std::int64_t capacity,
          const at::TensorOptions& options);

  std::int64_t batch() const { return batch_; }
  std::int64_t capacity() const { return capacity_; }
  /// Positions that are filled.
  std::int64_t length() const { return length_; }
  /// Forgets what is behind `length` positions; throws c10::ValueError for more
  /// than there are.
  void truncate(std::int64_t length);
  c10::ScalarType dtype() const { return layers_.front().keys.scalar_type(); }
  std::size_t layers() const { return layers_.size(); }
  const Layer& layer(std::size_t index) const { return layers_[index]; }
  std::int64_t nbytes() const;
  /// Bytes of such a cache, without allocating it.
  static std::int64_t bytes_for(const DecoderConfig& config,
                                std::int64_t batch,
                                std::int64_t capacity,
                                c10::ScalarType dtype);

 private:
  friend class Decoder;
  std::int64_t batch_;
  std::int64_t capacity_;
  std::int64_t length_ = 0;
  std::vector<Layer> layers_;
  std::shared_ptr<StepMemory> step_;  // what a token leaves to the next
};

class DecoderStack;

/// A decoder-only language model of the families that decoder_families() lists,
/// with the parameter names of Transformers ("model.layers.0.mlp.up_proj.
/// weight", "lm_head.weight"; experts fused), so that quantize_() and
/// checkpoints address them.
class MANTISSA_API Decoder : public torch::nn::Module {
 public:
  /// A model whose parameters have shapes but no storage (device `meta`):
  /// load_decoder() makes one that runs.
  explicit Decoder(DecoderConfig config, c10::ScalarType dtype = at::kFloat);

  const DecoderConfig& config() const { return config_; }
  /// Computes in this dtype; the logits have it too.
  c10::ScalarType dtype() const { return dtype_; }

  /// Final hidden states [B, T, hidden] of token ids [B, T] (int64). With a
  /// cache, ids follow the positions in it and are appended. Throws
  /// c10::ValueError for an id outside the vocabulary, a cache of another model
  /// or batch, and more positions than it holds.
  at::Tensor hidden_states(const at::Tensor& ids, KvCache* cache = nullptr);
  /// Logits [.., vocabulary] of hidden states [.., hidden].
  at::Tensor logits(const at::Tensor& hidden);
  /// Logits [B, T, vocabulary] of token ids [B, T].
  at::Tensor forward(const at::Tensor& ids, KvCache* cache = nullptr);

  /// A cache for this model, on the device of its parameters, in its dtype or
  /// another one that KvCache takes.
  KvCache make_cache(std::int64_t batch,
                     std::int64_t capacity,
                     std::optional<c10::ScalarType> dtype = {}) const;

 private:
  void check_ids(const at::Tensor& ids, const KvCache* cache) const;
  void check_cache(const KvCache& cache) const;

  DecoderConfig config_;
  c10::ScalarType dtype_;
  std::shared_ptr<DecoderStack> stack_;
  std::shared_ptr<torch::nn::LinearImpl> head_;
};

}  // namespace mantissa
