#pragma once

#include <filesystem>

namespace mantissa::cli {

/// Where the binary with the subcommands that need libtorch stands beside this
/// one (PREFIX/bin/mantissa -> PREFIX/libexec/mantissa/mantissa-torch), there
/// or not.
std::filesystem::path torch_tool();

}  // namespace mantissa::cli
