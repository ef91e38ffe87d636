#pragma once

#include <string>

#include "cli/command_tree.h"

namespace mantissa::cli {

/// Completion scripts for the three shells: commands, options, the values that
/// are lists, and files elsewhere.
std::string bash_completion(const CommandWords& root);
std::string zsh_completion(const CommandWords& root);
std::string fish_completion(const CommandWords& root);

}  // namespace mantissa::cli
