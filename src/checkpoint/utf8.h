#pragma once

#include <cstddef>
#include <string_view>

namespace mantissa {

/// Bytes of the UTF-8 sequence at the front of `text`; 0 when it is ill-formed
/// or empty.
std::size_t utf8_sequence(std::string_view text);

/// True for well-formed UTF-8 (no surrogates, no overlong forms).
bool is_utf8(std::string_view text);

/// True for well-formed UTF-8 without control characters.
bool is_printable_utf8(std::string_view text);

}  // namespace mantissa
