#pragma once

#include <cstdint>
#include <string>

namespace mantissa::cli {

/// "5GB", "91.7MB", "1GiB", "4096": bytes, at least 1, rounded down. Throws
/// Error(Usage) that names the flag.
std::int64_t parse_size(const std::string& flag, const std::string& text);

}  // namespace mantissa::cli
