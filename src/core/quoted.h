#pragma once

#include <string>
#include <string_view>

namespace mantissa {

/// A name from a file in double quotes, safe to print: control characters are
/// escaped and long names shortened.
std::string quoted_name(std::string_view text);

/// Text from outside as it may go to a terminal: control characters (C0, DEL,
/// C1), what has no width or turns the direction of writing, line separators
/// and bytes that are no UTF-8 come out as \xNN or \u{NNNN}; everything else
/// stays.
std::string printable(std::string_view text);

/// The same, with line feeds left alone: for output that consists of lines.
std::string printable_lines(std::string_view text);

/// True for printable ASCII that JSON writes as it is between quotes.
bool needs_no_escape(std::string_view text);

}  // namespace mantissa
