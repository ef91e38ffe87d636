#include "text/characters.h"

#include <utf8proc.h>

namespace mantissa::text {
namespace {

utf8proc_category_t category(char32_t c) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(c));
}

bool between(utf8proc_category_t c,
             utf8proc_category_t first,
             utf8proc_category_t last) {
  return c >= first && c <= last;
}

// Letters and letter numbers stand for Alphabetic; marks are listed anyway.
// The rest of Other_Alphabetic: circled and squared letters.
bool is_other_alphabetic(char32_t c) {
  return (c >= 0x24b6 && c <= 0x24e9) || (c >= 0x1f130 && c <= 0x1f149) ||
         (c >= 0x1f150 && c <= 0x1f169) || (c >= 0x1f170 && c <= 0x1f189);
}

// How many bytes at the front of ill-formed text one U+FFFD stands for: what
// could have begun a character, at least one.
std::size_t ill_formed_bytes(std::string_view text) {
  constexpr const char* kTails[] = {"\x80\x80\x80",
                                    "\xbf\xbf\xbf",
                                    "\x90\x80\x80",
                                    "\x8f\x80\x80",
                                    "\xa0\x80\x80",
                                    "\x9f\x80\x80"};
  std::size_t longest = 1;
  for (std::size_t bytes = 2; bytes <= 3 && bytes <= text.size(); ++bytes) {
    for (const char* tail : kTails) {
      const std::string whole = std::string(text.substr(0, bytes)) + tail;
      if (utf8_sequence(whole) > bytes) longest = bytes;
    }
  }
  return longest;
}

}  // namespace

bool is_white_space(char32_t c) {
  return (c >= 9 && c <= 13) || c == ' ' || c == 0x85 || c == 0xa0 ||
         c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 ||
         c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

bool is_unicode_punctuation(char32_t c) {
  return between(category(c), UTF8PROC_CATEGORY_PC, UTF8PROC_CATEGORY_PO);
}

bool is_punctuation(char32_t c) {
  if (c >= 0x80) return is_unicode_punctuation(c);
  return (c >= '!' && c <= '/') || (c >= ':' && c <= '@') ||
         (c >= '[' && c <= '`') || (c >= '{' && c <= '~');
}

bool is_numeric(char32_t c) {
  if (c < 0x80) return c >= '0' && c <= '9';
  return between(category(c), UTF8PROC_CATEGORY_ND, UTF8PROC_CATEGORY_NO);
}

bool is_mark(char32_t c) {
  return between(category(c), UTF8PROC_CATEGORY_MN, UTF8PROC_CATEGORY_ME);
}

bool is_nonspacing_mark(char32_t c) {
  return category(c) == UTF8PROC_CATEGORY_MN;
}

bool is_other(char32_t c) {
  return between(category(c), UTF8PROC_CATEGORY_CC, UTF8PROC_CATEGORY_CO);
}

bool is_word(char32_t c) {
  const utf8proc_category_t of = category(c);
  return between(of, UTF8PROC_CATEGORY_LU, UTF8PROC_CATEGORY_NL) ||
         of == UTF8PROC_CATEGORY_PC || is_other_alphabetic(c) || c == 0x200c ||
         c == 0x200d;
}

void append_character(char32_t c, std::string& out) {
  const auto tail = [&](int shift) {
    out += static_cast<char>(0x80u | (c >> shift & 0x3fu));
  };
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += static_cast<char>(0xc0u | c >> 6);
    tail(0);
  } else if (c < 0x10000) {
    out += static_cast<char>(0xe0u | c >> 12);
    tail(6);
    tail(0);
  } else {
    out += static_cast<char>(0xf0u | c >> 18);
    tail(12);
    tail(6);
    tail(0);
  }
}

void append_lower(char32_t c, std::string& out) {
  constexpr char32_t kCapitalIWithDot = 0x130;  // the only one that grows
  if (c == kCapitalIWithDot) {
    out += "i\xcc\x87";
    return;
  }
  append_character(
      static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c))),
      out);
}

void append_upper(char32_t c, std::string& out) {
  constexpr char32_t kSharpS = 0xdf;
  if (c == kSharpS) {
    out += "SS";
    return;
  }
  append_character(
      static_cast<char32_t>(utf8proc_toupper(static_cast<utf8proc_int32_t>(c))),
      out);
}

std::string replace_ill_formed(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size());
  while (!bytes.empty()) {
    std::size_t length = utf8_sequence(bytes);
    if (length > 0) {
      out += bytes.substr(0, length);
    } else {
      length = ill_formed_bytes(bytes);
      out += "\xef\xbf\xbd";
    }
    bytes.remove_prefix(length);
  }
  return out;
}

}  // namespace mantissa::text
