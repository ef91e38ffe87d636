#pragma once

#include <cstdint>

// How much models take at a time: what bounds their memory, and what the memory
// plan counts.

namespace mantissa {

/// Prompt tokens in one pass: bounds activations, and how long Ctrl-C waits.
constexpr std::int64_t kPromptBlock = 512;
/// Queries whose scores attention holds.
constexpr std::int64_t kQueryBlock = 256;
/// The same where libtorch's attention for CPUs keeps no scores.
constexpr std::int64_t kFusedQueryBlock = 64;
/// Rows of judged logits that are float64.
constexpr std::int64_t kRowBlock = 64;

}  // namespace mantissa
