#pragma once

#include <cstddef>
#include <filesystem>

namespace mantissa::support {

/// What the names of a synthetic checkpoint look like.
enum class LargeKind {
  Dense,    ///< a llama of many layers: one loading tensor per stored tensor
  Experts,  ///< a qwen3_moe of 128 experts a layer: hundreds join into one
};

/// A Hugging Face directory that costs no disk: its shards are sparse files,
/// all weights are bfloat16 zeros.
struct LargeCheckpoint {
  LargeKind kind = LargeKind::Dense;
  std::size_t tensors = 100'000;  ///< at least; whole layers are written
  std::size_t shards = 20;
};

/// Writes config.json, index and shards into `directory`, which must exist, and
/// returns the number of tensors.
std::size_t write_large_checkpoint(const std::filesystem::path& directory,
                                   const LargeCheckpoint& what);

}  // namespace mantissa::support
