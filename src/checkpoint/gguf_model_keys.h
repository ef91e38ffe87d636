#pragma once

#include "checkpoint/gguf_metadata.h"
#include "checkpoint/gguf_model.h"

namespace mantissa {

/// What the keys of a file say; `vocabulary`, `tied` and the biases come from
/// its tensors. Throws Error(Usage) for an architecture that is not converted
/// and for keys under its name that are not understood; Error(Input) for
/// missing or absurd values.
GgufModelShape read_gguf_model_keys(const GgufMetadata& metadata);

}  // namespace mantissa
