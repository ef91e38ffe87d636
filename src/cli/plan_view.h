#pragma once

#include <string>
#include <vector>

#include "checkpoint/plan.h"
#include "cli/quantize_options.h"

namespace mantissa::cli {

/// The plan for people: one line per group of tensors that differ only in
/// numbers (one per tensor with -v), rules, sizes, who loads it, warnings.
std::string plan_text(const Plan& plan, const QuantizeOptions& options);

/// The plan for machines (schema_version 1), problems included.
std::string plan_json(const Plan& plan, const QuantizeOptions& options);

}  // namespace mantissa::cli
