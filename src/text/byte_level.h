#pragma once

#include <string>
#include <string_view>

namespace mantissa::text {

/// Appends each byte as the character that GPT-2's byte-level vocabulary has
/// for it: printable Latin-1 stays, the others are U+0100 and on.
void append_byte_level(std::string_view bytes, std::string& out);

/// Appends the bytes that a byte-level token stands for; a token with another
/// character in it stands for itself.
void append_byte_level_bytes(std::string_view token, std::string& out);

}  // namespace mantissa::text
