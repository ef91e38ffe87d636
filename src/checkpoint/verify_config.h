#pragma once

#include <string>
#include <vector>

#include "checkpoint/logical_checkpoint.h"
#include "checkpoint/verify.h"

namespace mantissa {

/// Findings about config.json: does its quantization_config describe what is
/// stored?
std::vector<Finding> verify_config(const LogicalCheckpoint& checkpoint);

}  // namespace mantissa
