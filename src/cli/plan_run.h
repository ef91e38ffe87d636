#pragma once

#include "cli/quantize_options.h"

namespace mantissa::cli {

/// `plan`, or `quantize --dry-run`: prints what would happen and exits as
/// `quantize` would before its first byte.
int run_plan_only(const QuantizeOptions& options);

/// Plans, checks the output, runs, prints the summary. `convert` has no config.
int run_quantize(const QuantizeOptions& options);
int run_convert(const QuantizeOptions& options);

}  // namespace mantissa::cli
