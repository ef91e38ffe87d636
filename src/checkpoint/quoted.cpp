#include "checkpoint/quoted.h"

#include <algorithm>

#include <fmt/format.h>

namespace mantissa {

std::string quoted_name(std::string_view text) {
  constexpr std::size_t kLongest = 160;
  std::string out = "\"";
  for (const char c : text.substr(0, kLongest)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f || c == '"' || c == '\\') {
      out += fmt::format("\\x{:02x}", byte);
    } else {
      out += c;
    }
  }
  if (text.size() > kLongest) out += "...";
  return out + '"';
}

bool needs_no_escape(std::string_view text) {
  return std::ranges::all_of(text, [](char c) {
    return c >= ' ' && c <= '~' && c != '"' && c != '\\';
  });
}

}  // namespace mantissa
