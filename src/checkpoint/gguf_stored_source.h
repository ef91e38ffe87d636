#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include <mantissa/checkpoint/source.h>

namespace mantissa {

/// Opens a GGUF file of any architecture as what stands in it: names and types
/// of the file, values in float32, no config.json. For commands that look at
/// tensors and make no model of them; `refusal`, why the file is not converted,
/// is among its notes(). Throws Error(Input) for a malformed file and
/// Error(Usage) for a tensor type that is not read.
std::unique_ptr<CheckpointSource> open_gguf_stored(
    const std::filesystem::path& path, const std::string& refusal);

}  // namespace mantissa
