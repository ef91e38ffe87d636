#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "checkpoint/loading_names.h"
#include "checkpoint/name_table.h"

namespace mantissa {

/// One expert matrix of a checkpoint on its way into a fused tensor.
struct ExpertPiece {
  std::int64_t expert;
  ExpertPart part;
  std::size_t source;  ///< index in CheckpointSource::tensors()
};

/// Fills dtype, shape and pieces of the fused tensor `out` from the matrices of
/// one layer: gate_up_proj [E, 2I, H] with the gate rows first, or down_proj
/// [E, H, I]. `match` is how one of them was found; `experts` is what
/// config.json says, empty if nothing. Throws Error(Input) naming the tensor
/// that is missing, there twice, or differs in dtype or shape.
void fuse_experts(const CheckpointSource& source,
                  const NameTable& table,
                  const NameMatch& match,
                  std::optional<std::int64_t> experts,
                  std::vector<ExpertPiece> pieces,
                  LoadingTensor& out);

}  // namespace mantissa
