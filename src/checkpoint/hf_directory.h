#pragma once

#include <filesystem>
#include <memory>

#include <mantissa/checkpoint/source.h>

namespace mantissa {

/// Opens a Hugging Face directory, a snapshot of the hub's cache or a
/// repository folder of that cache (models--ORG--NAME). Throws Error(Usage)
/// with the remedy when it holds no weights that can be read, Error(Input) when
/// they are malformed.
std::unique_ptr<CheckpointSource> open_directory(
    const std::filesystem::path& path, const OpenOptions& options);

/// Text of config.json in `directory`, "" where there is none. Throws
/// Error(Input) when it is not a JSON object.
std::string read_config_json(const std::filesystem::path& directory);

}  // namespace mantissa
