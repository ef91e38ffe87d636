#pragma once

#include <filesystem>
#include <memory>

#include <mantissa/checkpoint/source.h>

namespace mantissa {

/// Opens a GGUF file under its stored names or those of its architecture.
/// Throws Error(Input) for a malformed file.
std::unique_ptr<CheckpointSource> open_gguf_model(
    const std::filesystem::path& path,
    const OpenOptions& options);

}  // namespace mantissa
