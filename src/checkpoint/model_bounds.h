#pragma once

#include <cstdint>

namespace mantissa {

// More than any model has. What is made of these sizes has bytes that an int64
// counts, and a hostile file is refused before memory is taken for it: a GGUF
// file by every command that reads it, a config.json by those that run the
// model.

/// Of what has no bound of its own: positions, rows of an embedding.
inline constexpr std::int64_t kMaxCount = std::int64_t{1} << 31;
/// Values of a token.
inline constexpr std::int64_t kMaxHidden = std::int64_t{1} << 20;
/// Width of a feed-forward part or of an expert.
inline constexpr std::int64_t kMaxIntermediate = std::int64_t{1} << 22;
/// Heads of queries, or of keys.
inline constexpr std::int64_t kMaxHeads = std::int64_t{1} << 16;
/// Values of a head.
inline constexpr std::int64_t kMaxHeadDim = std::int64_t{1} << 16;
/// Experts of a layer.
inline constexpr std::int64_t kMaxExperts = std::int64_t{1} << 16;
/// Layers of a model.
inline constexpr std::int64_t kMaxLayers = 4096;

}  // namespace mantissa
