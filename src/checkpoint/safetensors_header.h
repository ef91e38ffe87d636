#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <mantissa/core/dtype.h>

namespace mantissa {

/// One tensor of a safetensors file; offsets count from the first data byte.
struct HeaderEntry {
  std::string name;
  DType dtype = DType::UInt8;
  Shape shape;
  std::int64_t begin = 0;
  std::int64_t end = 0;
};

/// What a header says, validated.
struct SafetensorsHeader {
  std::vector<HeaderEntry> tensors;  ///< in data order
  std::map<std::string, std::string> metadata;
  std::int64_t data_start = 0;  ///< 8 + N
};

/// How much of a file from outside is believed.
struct HeaderLimits {
  std::int64_t header_bytes = 100'000'000;  ///< the format's own cap
  std::size_t tensors = 1'000'000;
  std::size_t name_bytes = 4096;
  std::size_t rank = 64;
};

/// Bytes [0, 8 + N) that parse_header() needs, from the first 8 bytes of the
/// file. Throws Error(Input) that begins with `label`.
std::int64_t header_extent(std::span<const std::byte> first_bytes,
                           std::int64_t file_size,
                           std::string_view label,
                           const HeaderLimits& limits = {});

/// Parses and validates the start of a safetensors file: `bytes` holds at least
/// its first 8 + N bytes, or all of it. Every rule that is broken throws
/// Error(Input) naming `label`, the tensor and the rule.
SafetensorsHeader parse_header(std::span<const std::byte> bytes,
                               std::int64_t file_size,
                               std::string_view label,
                               const HeaderLimits& limits = {});

/// Sorts by dtype (the order of DType), then name, and sets contiguous offsets
/// from 0: the canonical data order. Throws Error(Unexpected) on a name twice.
void set_canonical_layout(std::vector<HeaderEntry>& tensors);

/// Throws Error(Usage) naming tensor, rule and remedy for a name that a file
/// cannot hold: one that is not UTF-8, "__metadata__", or more bytes than
/// HeaderLimits allows a reader.
void check_tensor_name(std::string_view name);

/// The first 8 + N bytes of a file with these tensors, in the order given:
/// metadata first, keys sorted, N a multiple of 8. Throws Error(Usage) when N
/// exceeds 100 MB, and what check_tensor_name() throws.
std::string write_header(std::span<const HeaderEntry> tensors,
                         const std::map<std::string, std::string>& metadata);

}  // namespace mantissa
