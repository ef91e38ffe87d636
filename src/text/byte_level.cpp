#include "text/byte_level.h"

#include <array>
#include <cstdint>

#include "text/characters.h"

namespace mantissa::text {
namespace {

constexpr bool is_kept(int byte) {
  return (byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte <= 0xac) ||
         (byte >= 0xae && byte <= 0xff);
}

constexpr int kCharacters = 0x100 + 68;  // 68 bytes are not kept

struct Tables {
  std::array<char32_t, 256> character{};
  std::array<std::int16_t, kCharacters> byte{};
};

constexpr Tables make_tables() {
  Tables tables;
  tables.byte.fill(-1);
  char32_t next = 0x100;
  for (int byte = 0; byte < 256; ++byte) {
    const char32_t c = is_kept(byte) ? static_cast<char32_t>(byte) : next++;
    tables.character[static_cast<std::size_t>(byte)] = c;
    tables.byte[c] = static_cast<std::int16_t>(byte);
  }
  return tables;
}

constexpr Tables kTables = make_tables();

}  // namespace

void append_byte_level(std::string_view bytes, std::string& out) {
  for (const char byte : bytes) {
    const char32_t c = kTables.character[static_cast<unsigned char>(byte)];
    if (c < 0x80) {
      out += static_cast<char>(c);
    } else {
      out += static_cast<char>(0xc0u | c >> 6);
      out += static_cast<char>(0x80u | (c & 0x3fu));
    }
  }
}

void append_byte_level_bytes(std::string_view token, std::string& out) {
  const std::size_t before = out.size();
  bool mapped = true;
  for_each_character(token, [&](char32_t c, std::string_view) {
    const int byte = c < kCharacters ? kTables.byte[c] : -1;
    mapped = mapped && byte >= 0;
    if (mapped) out += static_cast<char>(byte);
  });
  if (mapped) return;
  out.resize(before);
  out += token;
}

}  // namespace mantissa::text
