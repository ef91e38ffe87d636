#pragma once

#include <cstdint>

namespace mantissa::kernels {

/// Which element of a pair stands in the low four bits of its byte. The order
/// differs per class, so every caller names it:
///   Int4Tensor            LowFirst, two's complement
///   tinygemm byte matrix  HighFirst, unsigned
///   NF4Tensor             HighFirst, table index
///   compressed-tensors    LowFirst, offset binary
enum class NibbleOrder { LowFirst, HighFirst };

/// Flips a code between offset binary (0..15, meaning code - 8) and a two's
/// complement nibble; its own inverse.
constexpr std::uint8_t kOffsetBinary = 0x8;

/// `count` codes 0..15, count even, into count / 2 bytes; `flip` is xor-ed to
/// every nibble (kOffsetBinary, or 0 for codes as they are).
template <NibbleOrder kOrder>
inline void pack_nibbles(const std::uint8_t* codes,
                         std::int64_t count,
                         std::uint8_t flip,
                         std::uint8_t* out) {
  const auto flips = static_cast<std::uint8_t>(flip * 0x11);
  for (std::int64_t i = 0; i < count / 2; ++i) {
    const std::uint8_t first = codes[2 * i];
    const std::uint8_t second = codes[2 * i + 1];
    const int byte = kOrder == NibbleOrder::LowFirst ? first | second << 4
                                                     : first << 4 | second;
    out[i] = static_cast<std::uint8_t>(byte ^ flips);
  }
}

/// The inverse of pack_nibbles: count / 2 bytes into `count` codes.
template <NibbleOrder kOrder>
inline void unpack_nibbles(const std::uint8_t* bytes,
                           std::int64_t count,
                           std::uint8_t flip,
                           std::uint8_t* codes) {
  const auto flips = static_cast<std::uint8_t>(flip * 0x11);
  for (std::int64_t i = 0; i < count / 2; ++i) {
    const auto byte = static_cast<std::uint8_t>(bytes[i] ^ flips);
    const auto low = static_cast<std::uint8_t>(byte & 0xf);
    const auto high = static_cast<std::uint8_t>(byte >> 4);
    codes[2 * i] = kOrder == NibbleOrder::LowFirst ? low : high;
    codes[2 * i + 1] = kOrder == NibbleOrder::LowFirst ? high : low;
  }
}

}  // namespace mantissa::kernels
