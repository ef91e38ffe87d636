#pragma once

#include <filesystem>
#include <map>
#include <string>

namespace mantissa::support {

/// Writes a llama of `layers` layers with [width, width] weights of bfloat16,
/// no two alike, into `directory`, which is made.
void write_small_model(const std::filesystem::path& directory,
                       int layers = 3,
                       int width = 64);

/// All regular files below a directory, by relative name.
std::map<std::string, std::string> directory_contents(
    const std::filesystem::path& directory);

}  // namespace mantissa::support
