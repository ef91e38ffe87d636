#pragma once

#include <mantissa/torch/model_loading.h>

#include "torch/checkpoint/checkpoint_weights.h"

namespace mantissa {

/// What a checkpoint of this config needs with these options.
MemoryPlan make_memory_plan(const CheckpointWeights& weights,
                            const DecoderConfig& config,
                            const ModelOptions& options);

}  // namespace mantissa
