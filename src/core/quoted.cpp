#include "core/quoted.h"

#include <algorithm>
#include <cstdint>

#include <fmt/format.h>

#include "core/utf8.h"

namespace mantissa {
namespace {

// Whether a terminal or a browser shows it and nothing else: no control, no
// separator of lines, nothing without width (soft hyphen, joiners, byte order
// mark, tags), nothing that turns the direction of its neighbours.
bool is_shown(char32_t c) {
  const bool control = c < 0x20 || (c >= 0x7f && c < 0xa0);
  const bool separator = c == 0x2028 || c == 0x2029;
  const bool no_width = c == 0xad || (c >= 0x200b && c <= 0x200d) ||
                        (c >= 0x2060 && c <= 0x206f) || c == 0xfeff ||
                        (c >= 0xfff9 && c <= 0xfffb) ||
                        (c >= 0xe0000 && c <= 0xe007f);
  const bool direction =
      c == 0x61c || c == 0x200e || c == 0x200f || (c >= 0x202a && c <= 0x202e);
  return !control && !separator && !no_width && !direction;
}

void append_printable(std::string_view text,
                      std::string_view escaped,
                      std::string_view kept,
                      std::string& out) {
  while (!text.empty()) {
    const Utf8Character next = first_character(text);
    const std::string_view bytes = text.substr(0, next.bytes);
    const bool plain =
        next.bytes > 1 || escaped.find(text.front()) == escaped.npos;
    if (kept.find(text.front()) != kept.npos ||
        (next.valid && plain && is_shown(next.code))) {
      out += bytes;
    } else if (next.bytes == 1) {
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(text.front()));
    } else {
      out += fmt::format("\\u{{{:x}}}", static_cast<std::uint32_t>(next.code));
    }
    text.remove_prefix(next.bytes);
  }
}

}  // namespace

std::string quoted_name(std::string_view text) {
  constexpr std::size_t kLongest = 160;
  std::string out = "\"";
  append_printable(whole_characters(text.substr(0, kLongest)), "\"\\", "", out);
  if (text.size() > kLongest) out += "...";
  return out + '"';
}

std::string printable(std::string_view text) {
  std::string out;
  append_printable(text, "", "", out);
  return out;
}

std::string printable_lines(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  append_printable(text, "", "\n", out);
  return out;
}

bool needs_no_escape(std::string_view text) {
  return std::ranges::all_of(text, [](char c) {
    return c >= ' ' && c <= '~' && c != '"' && c != '\\';
  });
}

}  // namespace mantissa
