#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include <mantissa/formats/compressed_tensor.h>

namespace mantissa {

/// What shares a scale of activations.
enum class ActivationStrategy { Token, Tensor, Group };

/// `input_activations` of a scheme, as products run it.
struct CompressedActivations {
  bool floating = false;  ///< float8 e4m3; else int8
  bool symmetric = true;
  bool dynamic = true;  ///< the scale is found in the call; else input_scale
  ActivationStrategy strategy = ActivationStrategy::Token;
  std::int64_t group_size = 0;  ///< of Group
};

/// The activations of a scheme; empty where it has none. Throws Error(Usage)
/// that names the member of config_groups and what is supported: int8,
/// symmetric or not, and symmetric float8; dynamic per token, tensor or group,
/// or static per tensor; no output_activations.
std::optional<CompressedActivations> compressed_activations(
    const CompressedSpec& spec);

}  // namespace mantissa
