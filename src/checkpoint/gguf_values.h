#pragma once

#include <cstdint>

#include "checkpoint/gguf_cursor.h"
#include "checkpoint/gguf_file.h"
#include "checkpoint/gguf_metadata.h"

namespace mantissa {

/// Reads key/value pair `index` into `metadata`. Throws Error(Input) naming the
/// key and the class of defect.
void read_pair(GgufCursor& in,
               std::int64_t index,
               const GgufLimits& limits,
               GgufMetadata& metadata);

}  // namespace mantissa
