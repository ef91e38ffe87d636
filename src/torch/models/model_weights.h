#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include <mantissa/torch/int8_compute.h>

#include "torch/checkpoint/checkpoint_weights.h"

namespace mantissa {

/// Opens the weights of a model; GGUF blocks that are decoded become `dtype`.
/// Throws what open_checkpoint() throws, and c10::ValueError for malformed
/// quantized tensors.
CheckpointWeights open_weights(const std::filesystem::path& path,
                               c10::ScalarType dtype,
                               GgufBlocks blocks = GgufBlocks::Decode);

/// Why products decode a weight that the file has quantized: while it is loaded
/// or each time; "" for plain weights and where codes are multiplied, as the
/// weight's config or `int8` says.
std::string decoding_reason(const CheckpointWeight& weight,
                            Int8Compute int8,
                            c10::Device device);

/// Bytes of a weight in memory as load_parameters() keeps it: of its fields, of
/// the runtime layout at most, or of its values.
std::int64_t loaded_bytes(const CheckpointWeight& weight,
                          c10::ScalarType dtype,
                          Int8Compute int8 = Int8Compute::None);

/// Checks that the parameters of a module are the tensors of a checkpoint: same
/// names, same shapes, floating values. `label` names the checkpoint; names
/// with `ignored_prefix` may be left over. Throws Error(Input) with the names
/// that are missing or unexpected. Positions (old rotary buffers) are never
/// unexpected.
void check_names(torch::nn::Module& module,
                 const CheckpointWeights& weights,
                 const std::string& label,
                 const std::string& ignored_prefix = {});

/// Puts the weights of a checkpoint in the place of a module's parameters, tied
/// ones once: plain ones cast to `dtype`, quantized ones with values of
/// `dtype`, on the CPU packed for `int8` where that is possible. The names were
/// checked. Throws Error(Input) for a tie whose two
/// sides differ.
void load_parameters(torch::nn::Module& module,
                     const CheckpointWeights& weights,
                     c10::ScalarType dtype,
                     c10::Device device,
                     Int8Compute int8 = Int8Compute::None);

}  // namespace mantissa
