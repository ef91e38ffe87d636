#pragma once

#include <cstdint>
#include <string>

namespace mantissa {

/// "269.1 MB" (powers of 1000), "812 B"; a minus sign for negative counts.
std::string format_bytes(std::int64_t bytes);

/// "1,234,567".
std::string format_count(std::int64_t count);

/// At most four characters: "812", "1.2k", "34k", "1.2M".
std::string format_short(std::int64_t count);

/// "3.2 s", "4 min 05 s", "2 h 07 min".
std::string format_duration(double seconds);

}  // namespace mantissa
