#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace mantissa {

/// model.safetensors.index.json: which shard holds which tensor.
struct SafetensorsIndex {
  std::map<std::string, std::string> weight_map;  ///< tensor -> file name
  std::optional<std::uint64_t> total_size;        ///< bytes of all tensors
};

/// Parses an index. Duplicate keys, file names that are absolute, contain
/// `..`, an empty component or something else than a .safetensors name throw
/// Error(Input) that begins with `label`.
SafetensorsIndex parse_index(std::string_view text, std::string_view label);

/// N of "...-00001-of-0000N.safetensors", 0 for other names.
int shard_total(std::string_view name);

/// Weight files beside an index that names only `named`, sorted. Throws
/// Error(Input) for one that is numbered like those: its tensors would be lost.
std::vector<std::string> unnamed_weights(const std::filesystem::path& index,
                                         const std::set<std::string>& named);

/// Why a file name from a JSON file may not be followed; "" if it may: relative,
/// of at most 4095 bytes, '/' separated, no empty, `.` or `..` component, no
/// backslash or control character.
std::string refuse_relative_path(std::string_view path);

}  // namespace mantissa
