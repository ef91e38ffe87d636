#pragma once

#include <vector>

#include "checkpoint/safetensors_source.h"
#include "checkpoint/verify.h"

namespace mantissa {

/// What of a directory is not what its mantissa_manifest.json says; nothing
/// when it has none. Adds the bytes that were hashed to `bytes`.
std::vector<Finding> verify_manifest(const SafetensorsSource& source,
                                     int workers,
                                     std::int64_t& bytes);

}  // namespace mantissa
