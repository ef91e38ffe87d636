#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include <mantissa/checkpoint/source.h>
#include <mantissa/configs/config.h>

#include "checkpoint/dialects/dialect.h"
#include "checkpoint/loading_names.h"

namespace mantissa {

/// A tensor of a new checkpoint: parts of a source that holds it as it is.
struct NewTensor {
  DialectTensor stored;  ///< its name is that of the checkpoint
  TensorRole role = TensorRole::Unknown;
  /// Further names of the same bytes, which are not written again.
  std::vector<std::string> tied = {};
};

/// How a checkpoint is written.
struct WriteRequest {
  const Dialect* dialect = nullptr;  ///< null: torchao
  ConfigPtr recorded = {};           ///< for config.json; null: not known
  std::int64_t shard_bytes = 5'000'000'000;
  bool replace = false;  ///< an old checkpoint at the place is exchanged
};

/// What was written.
struct WrittenCheckpoint {
  std::vector<std::string> files;  ///< the shards
  std::int64_t bytes = 0;          ///< of the shards
  std::vector<std::string> warnings;
};

/// Writes tensors that are encoded already as a checkpoint directory: codes as
/// they are, or carried over exactly where the dialect stores them otherwise.
/// Config.json and companions are the source's. Written beside `out`, read
/// back, then renamed, so that `out` is whole or not there. Throws Error: Usage
/// naming a tensor that the dialect cannot hold, and for a place that is taken.
WrittenCheckpoint write_checkpoint(const CheckpointSource& source,
                                   std::span<const NewTensor> tensors,
                                   const WriteRequest& request,
                                   const std::filesystem::path& out);

}  // namespace mantissa
