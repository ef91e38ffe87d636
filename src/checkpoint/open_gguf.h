#pragma once

#include <filesystem>
#include <memory>

#include <mantissa/checkpoint/source.h>

namespace mantissa {

/// Opens a GGUF file of architecture `llama` or `qwen3moe` as the Hugging Face
/// checkpoint it came from: its names, rows of q and k in its order,
/// every tensor in one dtype (decoded to float32 and rounded once),
/// config.json, generation_config.json, tokenizer.json and
/// tokenizer_config.json. read_stored_rows() delivers ggml blocks, rows in
/// Hugging Face's order. Throws Error(Input) for a malformed file, Error(Usage)
/// with the list of what is supported for other architectures, experts,
/// tokenizers and dtypes.
std::unique_ptr<CheckpointSource> open_gguf_model(
    const std::filesystem::path& path, const OpenOptions& options);

}  // namespace mantissa
