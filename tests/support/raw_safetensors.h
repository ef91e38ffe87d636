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

/// The header's entry of a tensor "w", its values as they are.
inline std::string w_entry(std::string_view shape,
                           std::string_view offsets,
                           std::string_view dtype = "\"U8\"") {
  return "\"w\":{\"dtype\":" + std::string(dtype) +
         ",\"shape\":" + std::string(shape) +
         ",\"data_offsets\":" + std::string(offsets) + "}";
}

/// A file whose header holds these entries.
inline std::string with_entries(const std::string& entries, std::size_t data) {
  return raw_safetensors("{" + entries + "}", data);
}

/// An index whose weight_map holds these entries.
inline std::string index_with(std::string_view entries) {
  return "{\"metadata\":{\"total_size\":4},\"weight_map\":{" +
         std::string(entries) + "}}";
}

}  // namespace mantissa::support
