#pragma once

#include <cstdint>

#include <mantissa/formats/compressed_tensor.h>

namespace mantissa {

/// A run of codes or words, `stride` elements apart.
template <class T>
struct Strided {
  T* data;
  std::int64_t stride = 1;
};

/// Words that `count` codes of 1 to 8 bits take.
std::int64_t packed_words(std::int64_t count, int bits, CodeLayout layout);

/// Packs signed codes in offset binary (code + 2^(bits - 1)): code i takes the
/// bits [i * bits, (i + 1) * bits) of the words, low bits first; what is left
/// of the last word is 0.
///
///   bits = 3, dense    word 0: c0 c1 ... c9 and 2 bits of c10
///                      word 1: 1 bit of c10, c11 ...
///   bits = 3, padded   word 0: c0 ... c9, 2 zero bits; word 1: c10 ...
void pack_codes(Strided<const std::int8_t> codes,
                std::int64_t count,
                int bits,
                Strided<std::uint32_t> words);

/// The inverse of pack_codes() in either layout.
void unpack_codes(Strided<const std::uint32_t> words,
                  std::int64_t count,
                  int bits,
                  CodeLayout layout,
                  Strided<std::int8_t> codes);

}  // namespace mantissa
