#pragma once

#include <memory>

#include <mantissa/configs/name_rules.h>

#include "checkpoint/decoded_source.h"

namespace mantissa {

/// The rules by which `target` stores every quantized tensor of a source on the
/// same grid, and keeps the rest. Throws Error(Usage) naming a tensor that it
/// cannot hold, and why.
RuleSet convert_rules(const DecodedSource& source, const Dialect& target);

}  // namespace mantissa
