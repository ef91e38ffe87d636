#pragma once

#include <filesystem>
#include <string>

namespace mantissa::cli {

/// True when the value of -c names a file rather than a config: it ends in
/// .json, holds a '/', or a file of that name is there.
bool names_a_file(const std::string& words);

/// The text of a file with rules or a config: a regular file of at most 16 MB,
/// not empty, without a byte order mark. Throws Error(Usage) "OPTION: PATH:
/// why" otherwise.
std::string read_rule_file(const std::string& option,
                           const std::filesystem::path& path);

}  // namespace mantissa::cli
