#pragma once

#include <string>
#include <string_view>

namespace mantissa::report {

// Text from outside in the forms of the report; all of it goes through
// printable().

/// At most `length` characters of printable(), the middle cut out by "...".
std::string shortened(std::string_view text, std::size_t length);

/// printable(), safe in HTML text and in quoted attributes.
std::string html(std::string_view text);

/// Like html(), but line breaks stay: for <pre>.
std::string html_block(std::string_view text);

/// printable() as one CSV cell (RFC 4180). A cell that a spreadsheet would take
/// for a formula gets a leading apostrophe.
std::string csv(std::string_view text);

/// printable() in Markdown: a code span where that is safe, else text with
/// every active character escaped; safe in a table cell.
std::string markdown(std::string_view text);

/// A fenced code block whose fence is longer than any in `text`.
std::string markdown_block(std::string_view text, std::string_view language);

/// A word as a POSIX shell reads it: quoted only where needed.
std::string shell_word(std::string_view text);

}  // namespace mantissa::report
