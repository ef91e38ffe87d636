#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace mantissa::text {

/// The Unicode property White_Space.
bool is_white_space(char32_t c);

/// ASCII punctuation and symbols, or a general category P*.
bool is_punctuation(char32_t c);

/// General category P*.
bool is_unicode_punctuation(char32_t c);

/// General categories N*.
bool is_numeric(char32_t c);

/// General categories M*, and Mn alone.
bool is_mark(char32_t c);
bool is_nonspacing_mark(char32_t c);

/// Controls, formats and private use; not what is unassigned.
bool is_other(char32_t c);

/// A character of words: alphabetic, mark, decimal digit, connector.
bool is_word(char32_t c);

/// Appends a character as UTF-8.
void append_character(char32_t c, std::string& out);

/// Appends the lower case of a character: one or two characters.
void append_lower(char32_t c, std::string& out);

/// Appends the upper case of a character.
void append_upper(char32_t c, std::string& out);

/// Calls f(character, its bytes) for each character of well-formed UTF-8.
template <typename F>
void for_each_character(std::string_view text, F&& f);

/// Bytes of the character that begins with this byte, in well-formed UTF-8.
constexpr std::size_t character_bytes(char lead) {
  const auto byte = static_cast<unsigned char>(lead);
  return byte < 0x80 ? 1 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;
}

/// Text with U+FFFD for each longest piece that is no UTF-8 (the practice that
/// the Unicode standard recommends).
std::string replace_ill_formed(std::string_view bytes);

}  // namespace mantissa::text

#include "core/utf8.h"

template <typename F>
void mantissa::text::for_each_character(std::string_view text, F&& f) {
  while (!text.empty()) {
    const Utf8Character next = first_character(text);
    f(next.code, text.substr(0, next.bytes));
    text.remove_prefix(next.bytes);
  }
}
