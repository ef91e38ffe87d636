#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <ATen/core/Tensor.h>

#include <mantissa/checkpoint/source.h>
#include <mantissa/core/dtype.h>
#include <mantissa/formats/encoding.h>

#include "checkpoint/loading_names.h"

namespace mantissa {

class DecodedSource;

/// What becomes of GGUF blocks.
enum class GgufBlocks {
  Decode,  ///< plain tensors in the dtype of OpenOptions
  /// Quantized tensors with the same codes, where a format holds every value
  /// exactly (Q8_0 and Q4_0; Q4_1 when opened in float32); the rest is decoded.
  Keep,
  /// For products with their codes: Q4_0, Q5_0 and Q8_0 as intx of 4, 5 and 8
  /// bits with their own float16 scales, other types as GgufTensor of float32;
  /// what is no matrix is decoded. Experts that any file has quantized a matrix
  /// at a time are a FusedTensor, where they multiply or their config names
  /// activations; the other values decode them.
  Lowbit,
};

/// How to open a checkpoint for its weights.
struct CheckpointWeightsOptions {
  OpenOptions open = {};
  GgufBlocks blocks = GgufBlocks::Decode;
};

/// A weight of a checkpoint, under the name of the class that loads it; experts
/// that the class fuses are one 3-D weight.
struct CheckpointWeight {
  std::string name;
  std::string stored;            ///< "BF16", "Q4_1", "Int8Tensor"
  DType dtype = DType::Float32;  ///< of its values
  Shape shape;
  std::int64_t bytes = 0;  ///< of all stored parts; 0 for a tied head
  TensorRole role = TensorRole::Unknown;
  /// Not in the file: an lm_head that shares the embedding; read() reads the
  /// embedding's values again.
  bool tied = false;
  /// read() gives a quantized tensor of this encoding; null: a plain tensor.
  std::shared_ptr<const Encoding> encoding = {};
  /// Why read() gives the values of what the file has quantized; "" where it
  /// gives the codes, and for plain tensors.
  std::string decoded = {};
};

/// The weights of any checkpoint that the tool reads (a Hugging Face directory,
/// safetensors, GGUF; plain, torchao's or compressed-tensors' convention), one
/// by one, as tensors on the CPU. Everything was validated when it was opened.
/// Safe to use from several threads.
class CheckpointWeights {
 public:
  /// Throws c10::ValueError for what open_checkpoint() refuses, for a quantized
  /// tensor that is malformed, naming tensor, field, expected and found, and
  /// for activations or a key-value cache that a scheme quantizes and no
  /// product runs.
  explicit CheckpointWeights(const std::filesystem::path& path,
                             const CheckpointWeightsOptions& options = {});
  /// The weights of an opened source.
  explicit CheckpointWeights(std::unique_ptr<CheckpointSource> source,
                             GgufBlocks blocks = GgufBlocks::Decode);
  ~CheckpointWeights();
  CheckpointWeights(CheckpointWeights&&) noexcept;

  /// In the source's order.
  const std::vector<CheckpointWeight>& weights() const { return weights_; }
  /// Null if the checkpoint has none of this name.
  const CheckpointWeight* find(std::string_view name) const;
  /// The names' architecture; "" when config.json names none that is known.
  const std::string& architecture() const { return names_.architecture; }
  bool tied_embeddings() const { return names_.tied_embeddings; }
  /// The plain values behind the weights, with config.json (without its
  /// quantization_config) and companions.
  const CheckpointSource& source() const { return *source_; }

  /// Reads a weight of weights(): a quantized tensor from its fields, without
  /// decoding, or a plain tensor. Throws c10::ValueError when the file is
  /// shorter than when opened, c10::TypeError for a dtype that torch lacks.
  at::Tensor read(const CheckpointWeight& weight) const;
  /// The same with plain values always, in the weight's dtype.
  at::Tensor read_values(const CheckpointWeight& weight) const;

 private:
  const LoadingTensor& loading(const CheckpointWeight& weight) const;
  CheckpointWeight describe(const LoadingTensor& tensor,
                            GgufBlocks blocks) const;
  // Of a source tensor: null where it has no codes or they are decoded.
  std::shared_ptr<const Encoding> encoding_of(std::size_t source,
                                              GgufBlocks blocks) const;
  void describe_fused(const LoadingTensor& tensor,
                      GgufBlocks blocks,
                      CheckpointWeight& out) const;
  // The fields of a source tensor of this encoding.
  std::vector<at::Tensor> read_fields(
      std::size_t source,
      const std::shared_ptr<const Encoding>& encoding) const;
  at::Tensor read_fused(const CheckpointWeight& weight) const;

  std::unique_ptr<CheckpointSource> source_;
  const DecodedSource* decoded_ = nullptr;  ///< source_, when quantized
  LoadingNames names_;
  std::vector<CheckpointWeight> weights_;  ///< parallel to names_.tensors
  std::unordered_map<std::string_view, std::size_t> by_name_;
};

}  // namespace mantissa
