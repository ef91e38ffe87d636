#pragma once

#include <vector>

#include <mantissa/torch/decoder_config.h>

#include "torch/models/config_fields.h"

namespace mantissa {

/// The RoPE of a whole model: `rope_parameters` (Transformers 5), or
/// `rope_theta` and `rope_scaling` (4). `theta` is the class default,
/// `positions` the context. Throws Error(Usage) for a kind that is not one of
/// RopeType and for a partial rotation, Error(Input) for malformed keys.
RopeConfig read_rope(const ConfigFields& config,
                     double theta,
                     std::int64_t positions);

/// The RoPEs of Gemma 3: full layers first, then sliding ones.
std::vector<RopeConfig> read_rope_by_layer(const ConfigFields& config,
                                           std::int64_t positions);

}  // namespace mantissa
