#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace mantissa::support {

/// The bytes of a safetensors file as somebody hostile would make it: the
/// header text as it is, then `data` bytes that count up from 0.
inline std::string raw_safetensors(std::string_view header, std::size_t data) {
  const std::uint64_t size = header.size();
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &size, sizeof(size));
  bytes += header;
  for (std::size_t i = 0; i < data; ++i) bytes += static_cast<char>(i);
  return bytes;
}

}  // namespace mantissa::support
