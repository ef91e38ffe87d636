#pragma once

#include <cstdint>

namespace mantissa::kernels {

/// What is added to a code before it is stored.
int stored_offset(int bits, bool is_signed);

/// One block of stored codes 0 .. 2^bits-1 to block * bits / 8 bytes.
void pack_block(int bits,
                int block,
                const std::uint8_t* stored,
                std::uint8_t* packed);

/// The inverse of pack_block().
void unpack_block(int bits,
                  int block,
                  const std::uint8_t* packed,
                  std::uint8_t* stored);

}  // namespace mantissa::kernels
