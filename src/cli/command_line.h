#pragma once

#include <span>

#include "cli/command.h"

namespace mantissa::cli {

/// Parses the words, runs the subcommand that they name, prints what it throws
/// and returns the exit code of the process.
int run_tool(int argc, char** argv, std::span<const AddCommand> commands);

}  // namespace mantissa::cli
