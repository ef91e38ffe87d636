#pragma once

#include <map>
#include <string>
#include <string_view>

namespace mantissa {

/// model.safetensors.index.json: which shard holds which tensor.
struct SafetensorsIndex {
  std::map<std::string, std::string> weight_map;  ///< tensor -> file name
};

/// Parses an index. Duplicate keys, file names that are absolute, contain
/// `..`, an empty component or something else than a .safetensors name throw
/// Error(Input) that begins with `label`.
SafetensorsIndex parse_index(std::string_view text, std::string_view label);

/// Why a file name from a JSON file may not be followed; "" if it may:
/// relative,
/// '/' separated, no empty, `.` or `..` component, no backslash or control
/// character.
std::string refuse_relative_path(std::string_view path);

}  // namespace mantissa
