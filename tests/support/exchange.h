#pragma once

#include <filesystem>
#include <map>
#include <string>

#include <mantissa/core/tensor_view.h>

namespace mantissa::support {

/// Tensors that a judge wrote with safetensors' save_file. For trusted files
/// only: the project's reader is what the tests judge, not what they lean on.
std::map<std::string, HostTensor> load_tensors(
    const std::filesystem::path& path);

/// Writes tensors for a judge to read with safetensors' load_file.
void save_tensors(const std::filesystem::path& path,
                  const std::map<std::string, HostTensor>& tensors);

}  // namespace mantissa::support
