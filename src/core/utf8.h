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

/// The character at the front of a text that is not empty. What is not UTF-8
/// is one byte, not valid.
struct Utf8Character {
  char32_t code = 0;
  std::size_t bytes = 1;
  bool valid = false;
};
Utf8Character first_character(std::string_view text);

/// `text` without the beginning of a character that was cut off at its end.
std::string_view whole_characters(std::string_view text);

}  // namespace mantissa
