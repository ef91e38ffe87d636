#include "formats/code_packing.h"

namespace mantissa {
namespace {

constexpr int kWordBits = 32;

}  // namespace

std::int64_t packed_words(std::int64_t count, int bits, CodeLayout layout) {
  if (layout == CodeLayout::Padded) {
    const std::int64_t each = kWordBits / bits;
    return (count + each - 1) / each;
  }
  return (count * bits + kWordBits - 1) / kWordBits;
}

void pack_codes(Strided<const std::int8_t> codes,
                std::int64_t count,
                int bits,
                Strided<std::uint32_t> words) {
  const std::uint32_t mask = (1u << bits) - 1;
  const auto offset = static_cast<std::uint32_t>(1 << (bits - 1));
  std::uint64_t pending = 0;
  int filled = 0;
  std::uint32_t* out = words.data;
  for (std::int64_t i = 0; i < count; ++i) {
    // Its low bits are all that the mask keeps.
    const auto code = static_cast<std::uint8_t>(codes.data[i * codes.stride]);
    pending |= static_cast<std::uint64_t>((code + offset) & mask) << filled;
    filled += bits;
    if (filled < kWordBits) continue;
    *out = static_cast<std::uint32_t>(pending);
    out += words.stride;
    pending >>= kWordBits;
    filled -= kWordBits;
  }
  if (filled > 0) *out = static_cast<std::uint32_t>(pending);
}

void unpack_codes(Strided<const std::uint32_t> words,
                  std::int64_t count,
                  int bits,
                  CodeLayout layout,
                  Strided<std::int8_t> codes) {
  const std::uint32_t mask = (1u << bits) - 1;
  const int offset = 1 << (bits - 1);
  const int used =
      layout == CodeLayout::Dense ? kWordBits : kWordBits / bits * bits;
  std::uint64_t pending = 0;
  int filled = 0;
  const std::uint32_t* in = words.data;
  for (std::int64_t i = 0; i < count; ++i) {
    if (filled < bits) {
      // Padded words leave nothing pending, so the unused top is cut off.
      const std::uint64_t word =
          used == kWordBits ? *in : *in & ((std::uint32_t{1} << used) - 1);
      pending |= word << filled;
      filled += used;
      in += words.stride;
    }
    codes.data[i * codes.stride] = static_cast<std::int8_t>(
        static_cast<int>(static_cast<std::uint32_t>(pending) & mask) - offset);
    pending >>= bits;
    filled -= bits;
  }
}

}  // namespace mantissa
