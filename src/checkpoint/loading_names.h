#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <mantissa/checkpoint/source.h>
#include <mantissa/core/dtype.h>

namespace mantissa {

/// What a tensor is to the class that loads it.
enum class TensorRole {
  Linear,     ///< weight of a Linear: eligible
  Experts,    ///< 3-D expert weight: eligible
  Head,       ///< lm_head: eligible when untied
  Embedding,  ///< kept unless a rule names it
  Norm,       ///< kept
  Bias,       ///< kept
  Router,     ///< kept
  Position,   ///< position and type embeddings, buffers: kept
  Unknown,    ///< loading name not known
};

/// Rows of one source tensor inside a loading tensor: the whole source tensor
/// goes to rows [row, row + its rows) of matrix `matrix`.
struct Piece {
  std::size_t source;  ///< index in CheckpointSource::tensors()
  std::int64_t matrix = 0;
  std::int64_t row = 0;
};

/// A tensor under the name of the class that loads it.
struct LoadingTensor {
  std::string name;
  DType dtype;
  Shape shape;
  TensorRole role;
  std::vector<Piece> pieces;  ///< in order; one unless experts are fused
  /// Only in memory: an lm_head that is tied to the embedding and absent from
  /// the file. It has the embedding's shape and piece.
  bool tied = false;
};

/// True for what can be quantized: a 2-D or 3-D float tensor but float64.
bool is_matrix(const LoadingTensor& tensor);

/// Everything the names table says about one checkpoint.
struct LoadingNames {
  std::string architecture;  ///< "LlamaForCausalLM"; "" when unknown
  bool known = false;        ///< the architecture has a row set
  bool tied_embeddings = false;
  std::string embedding;  ///< name of the input embedding, "" if none
  std::vector<LoadingTensor> tensors;  ///< in source order
};

/// The loading names of a checkpoint by its config.json's architecture. With an
/// unknown architecture every tensor keeps its name and has role Unknown.
/// Throws Error(Input) when fused experts are incomplete or differ in shape.
LoadingNames loading_names(const CheckpointSource& source);

}  // namespace mantissa
