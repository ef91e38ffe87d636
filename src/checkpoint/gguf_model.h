#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "checkpoint/gguf_file.h"
#include "checkpoint/gguf_layout.h"
#include "checkpoint/gguf_rope.h"

namespace mantissa {

/// The sizes of a Llama, with experts a Mixtral, or of a Qwen 3 with experts,
/// from the keys and tensors of a GGUF file.
struct GgufModelShape {
  GgufArchitecture architecture = GgufArchitecture::Llama;
  std::int64_t layers = 0;
  std::int64_t hidden = 0;
  std::int64_t intermediate = 0;
  std::int64_t heads = 0;
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 0;
  std::int64_t positions = 0;
  std::int64_t vocabulary = 0;  ///< rows of the embedding
  std::int64_t experts = 0;     ///< 0: dense
  std::int64_t experts_used = 0;
  std::int64_t expert_intermediate = 0;
  double rms_norm_eps = 0;
  RopeParameters rope;
  bool tied = true;  ///< no output.weight
  bool attention_bias = false;
  bool mlp_bias = false;
};

/// A GGUF tensor, or the matrix of an expert in one, under its Hugging Face
/// name.
struct GgufModelTensor {
  std::size_t source;  ///< index in GgufFile::tensors()
  std::string name;
  Shape shape;
  std::int64_t first_row = 0;  ///< of the GGUF tensor
  /// Rows (elements of a bias) of one head when they are interleaved in the
  /// file, else 0: row b * (n / 2) + a of a head lies at 2 * a + b, b in {0,
  /// 1}.
  std::int64_t interleaved = 0;
};

struct GgufModel {
  GgufModelShape shape;
  std::vector<GgufModelTensor> tensors;  ///< in file order, then by expert
};

/// Reads architecture `llama`, dense or with experts, and `qwen3moe`. Throws
/// Error(Usage) with what is supported for another architecture and for keys
/// and tensors that are not understood; Error(Input) for missing keys or
/// tensors and wrong shapes.
GgufModel read_gguf_model(const GgufFile& file);

}  // namespace mantissa
