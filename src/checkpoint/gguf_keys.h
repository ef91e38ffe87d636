#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "checkpoint/gguf_metadata.h"

namespace mantissa {

/// The keys of one architecture in the metadata of a GGUF file, which outlives
/// this: "llama.block_count" is `block_count` here. Look-ups are those of
/// GgufMetadata.
class GgufKeys {
 public:
  /// `architecture` as general.architecture says it: "llama".
  GgufKeys(const GgufMetadata& metadata, std::string_view architecture)
      : metadata_(metadata), prefix_(std::string(architecture) + ".") {}

  /// "llama.": what stands in front of them.
  const std::string& prefix() const { return prefix_; }
  /// How the file spells a key.
  std::string spelled(std::string_view key) const {
    return prefix_ + std::string(key);
  }
  /// All keys of the file.
  const GgufMetadata& metadata() const { return metadata_; }

  /// Whether the file has the key.
  bool has(std::string_view key) const {
    return metadata_.find(spelled(key)) != nullptr;
  }
  /// GgufMetadata::integer() and so on.
  std::optional<std::int64_t> integer(std::string_view key) const {
    return metadata_.integer(spelled(key));
  }
  std::optional<double> number(std::string_view key) const {
    return metadata_.number(spelled(key));
  }
  std::optional<bool> boolean(std::string_view key) const {
    return metadata_.boolean(spelled(key));
  }
  const std::string* string(std::string_view key) const {
    return metadata_.string(spelled(key));
  }

 private:
  const GgufMetadata& metadata_;
  std::string prefix_;
};

}  // namespace mantissa
