#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace mantissa {

/// Size and XXH3 of a part of a checkpoint.
struct ManifestEntry {
  std::string file;  ///< of a tensor; "" for an entry that is a file itself
  std::int64_t bytes = 0;
  std::uint64_t xxh3 = 0;
};

/// mantissa_manifest.json: what every tensor, every header of a weight file and
/// every small file of an output directory hashes to.
struct Manifest {
  static constexpr const char* kFile = "mantissa_manifest.json";

  std::string tool_version;
  std::map<std::string, ManifestEntry> files;
  /// First 8 + N bytes of the weight files, by name; empty in older manifests.
  std::map<std::string, ManifestEntry> headers = {};
  std::map<std::string, ManifestEntry> tensors;

  /// Notes a weight file's first 8 + N bytes.
  void add_header(const std::string& file, std::string_view header);

  /// Text of the file: names in order, no time and no place.
  std::string to_json() const;
};

/// Reads a manifest; nothing when the directory has none. Throws Error(Input)
/// for a malformed one.
std::optional<Manifest> read_manifest(const std::filesystem::path& directory);

/// Parses a manifest; `label` leads messages. Throws Error(Input).
Manifest parse_manifest(std::string_view text, const std::string& label);

}  // namespace mantissa
