#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include <mantissa/checkpoint/source.h>
#include <mantissa/core/api.h>
#include <mantissa/torch/decoder.h>
#include <mantissa/torch/int8_compute.h>

namespace mantissa {

/// How a model is loaded.
struct ModelOptions {
  /// float32, bfloat16 or float16: the dtype of activations and of plain
  /// weights; quantized weights decode to it.
  c10::ScalarType compute_dtype = c10::ScalarType::Float;
  /// How products with quantized weights take activations on the CPU, where the
  /// weight's format allows it (pack_lowbit_()), blocks of a GGUF file
  /// included; None: weights decode, GGUF blocks while loading. A plain
  /// bfloat16 embedding or head of a float32 model stays as it is unless None.
  Int8Compute int8_compute = Int8Compute::None;
  c10::Device device = c10::Device(c10::DeviceType::CPU);
  /// Positions of the key-value cache in the plan; 0: the trained context.
  std::int64_t context = 0;
  std::int64_t batch = 1;  ///< sequences of a pass, and of the cache
  bool cached = true;      ///< whether the plan has a cache
  /// Tokens of one pass over a sequence in the plan's activations; 0: what
  /// generate() takes at a time, 512 at most.
  std::int64_t pass_tokens = 0;
  /// Dtype of the cache in the plan, as Decoder::make_cache() takes it; empty:
  /// compute_dtype.
  std::optional<c10::ScalarType> cache_dtype = {};
  /// Bytes that plan().total() may not pass; empty: no limit.
  std::optional<std::int64_t> max_memory = {};
};

/// Bytes that a model needs, known before a weight is read.
struct MemoryPlan {
  std::int64_t weights = 0;  ///< parameters as they stay in memory
  std::int64_t loading = 0;  ///< the largest tensor on its way in
  std::int64_t cache = 0;    ///< keys and values of all positions
  /// Of the widest pass: what a layer or the logits have at a time, in float32,
  /// and the values of a weight that is decoded for its product.
  std::int64_t activations = 0;
  std::int64_t reference = 0;  ///< weights of models beside it
  std::int64_t positions = 0;  ///< of the cache
  std::int64_t batch = 1;

  /// The same with another model in memory, which runs by turns with this one.
  MANTISSA_API MemoryPlan beside(const MemoryPlan& other) const;
  /// At the worst moment: while the last weights are loaded, or while running.
  MANTISSA_API std::int64_t total() const;
  /// Throws Error(Resources), naming the parts, when total() passes the limit.
  MANTISSA_API void require(const std::optional<std::int64_t>& limit) const;
  /// "weights 538.1 MB + KV cache 47.2 MB + activations 68.2 MB (2048
  /// positions) = 653.5 MB".
  MANTISSA_API std::string text() const;
};

/// A weight that its file has quantized, and how a model multiplies it.
struct QuantizedWeight {
  std::string name;    ///< "model.layers.0.mlp.up_proj.weight"
  std::string stored;  ///< "Q4_0", "pack-quantized", "Int8Tensor"
  /// "": its codes are multiplied; else why it is decoded, while it is loaded
  /// (GGUF blocks) or for each product.
  std::string decoded;
  /// With which its codes are multiplied, in the words of --compute-dtype
  /// ("int8-g32", "float32"), or "config": as its config says; "" if decoded.
  std::string activations;
};

/// "209 weights multiply as stored (Q4_0 180, Q8_0 29), 1 is decoded (Q6_K 1:
/// groups of 16 are below the 32 of the kernels)"; "30 weights multiply as
/// stored (Int8Tensor 30), with activations as their config says"; "" for no
/// weights.
MANTISSA_API std::string products_text(
    const std::vector<QuantizedWeight>& weights);

/// A checkpoint of a decoder, opened and understood: a Hugging Face directory
/// (plain, or quantized by a convention that the library reads), a
/// .safetensors file beside its config.json, or a GGUF file.
class MANTISSA_API DecoderCheckpoint {
 public:
  /// Reads config and names, no weights. Throws Error(Usage) for a model that
  /// is not supported, naming what is; Error(Input) for malformed files and
  /// where tensors are missing, unexpected or of another shape, naming them;
  /// Error(Resources) when the plan passes options.max_memory.
  explicit DecoderCheckpoint(const std::filesystem::path& path,
                             const ModelOptions& options = {});
  ~DecoderCheckpoint();
  DecoderCheckpoint(DecoderCheckpoint&&) noexcept;

  const DecoderConfig& config() const { return config_; }
  const MemoryPlan& plan() const { return plan_; }
  /// What the files have quantized, in their order; a tied head is not counted.
  std::vector<QuantizedWeight> quantized_weights() const;
  /// The files: tokenizer, generation_config.json and so on.
  const CheckpointSource& source() const;
  /// Reads the weights. Throws Error(Input) for unreadable ones.
  std::shared_ptr<Decoder> load() const;

 private:
  struct Files;

  ModelOptions options_;
  std::unique_ptr<Files> files_;
  DecoderConfig config_;
  MemoryPlan plan_;
};

/// DecoderCheckpoint(path, options).load().
MANTISSA_API std::shared_ptr<Decoder> load_decoder(
    const std::filesystem::path& path, const ModelOptions& options = {});

}  // namespace mantissa
