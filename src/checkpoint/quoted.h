#pragma once

#include <string>
#include <string_view>

namespace mantissa {

/// A name from a file in double quotes, safe to print: control characters are
/// escaped and long names shortened.
std::string quoted_name(std::string_view text);

/// True for printable ASCII that JSON writes as it is between quotes.
bool needs_no_escape(std::string_view text);

}  // namespace mantissa
