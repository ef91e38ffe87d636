#pragma once

#include <string_view>

namespace mantissa {

/// True for well-formed UTF-8 (no surrogates, no overlong forms).
bool is_utf8(std::string_view text);

/// True for well-formed UTF-8 without control characters.
bool is_printable_utf8(std::string_view text);

}  // namespace mantissa
