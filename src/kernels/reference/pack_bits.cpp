#include <cstring>

#include "kernels/common/bit_layout.h"
#include "kernels/pack_bits.h"
#include "kernels/reference/pack_block.h"

namespace mantissa::kernels {
namespace {

// Calls f(code, bit of it, byte, bit of it) for every bit of a block.
template <class F>
void for_each_bit(int bits, int block, const F& f) {
  const int unit = unit_codes(bits, block);
  for (int u = 0; u < block / unit; ++u) {
    for (int cell = 0; cell < unit / cell_codes(bits); ++cell) {
      for (int byte = 0; byte < cell_bytes(bits); ++byte) {
        const int to = u * unit * bits / 8 + byte_index(bits, unit, cell, byte);
        for (int bit = 0; bit < 8; ++bit) {
          const CellBit from = cell_bit(bits, byte, bit);
          f(u * unit + code_index(bits, unit, cell, from.code),
            from.bit,
            to,
            bit);
        }
      }
    }
  }
}

}  // namespace

int stored_offset(int bits, bool is_signed) {
  return is_signed && bits < 8 ? 1 << (bits - 1) : 0;
}

void pack_block(int bits,
                int block,
                const std::uint8_t* stored,
                std::uint8_t* packed) {
  std::memset(packed, 0, static_cast<std::size_t>(block * bits / 8));
  for_each_bit(bits, block, [&](int code, int from, int byte, int to) {
    packed[byte] |= static_cast<std::uint8_t>((stored[code] >> from & 1) << to);
  });
}

void unpack_block(int bits,
                  int block,
                  const std::uint8_t* packed,
                  std::uint8_t* stored) {
  std::memset(stored, 0, static_cast<std::size_t>(block));
  for_each_bit(bits, block, [&](int code, int to, int byte, int from) {
    stored[code] |= static_cast<std::uint8_t>((packed[byte] >> from & 1) << to);
  });
}

bool run_pack_bits_ref(const PackBitsProblem& problem,
                       const PackBitsArgs& args) {
  const auto [bits, block, range] = problem;
  if (first_out_of_range(bits, range, args.codes, args.blocks * block) >= 0) {
    return false;
  }
  const int offset = stored_offset(bits, range == CodeRange::Signed);
  std::uint8_t stored[128];
  for (std::int64_t b = 0; b < args.blocks; ++b) {
    for (int i = 0; i < block; ++i) {
      stored[i] = static_cast<std::uint8_t>(args.codes[b * block + i] + offset);
    }
    pack_block(bits, block, stored, args.packed + b * block * bits / 8);
  }
  return true;
}

void run_unpack_bits_ref(const PackBitsProblem& problem,
                         const UnpackBitsArgs& args) {
  const auto [bits, block, range] = problem;
  const int offset = stored_offset(bits, range == CodeRange::Signed);
  std::uint8_t stored[128];
  for (std::int64_t b = 0; b < args.blocks; ++b) {
    unpack_block(bits, block, args.packed + b * block * bits / 8, stored);
    for (int i = 0; i < block; ++i) {
      args.codes[b * block + i] = static_cast<std::int8_t>(stored[i] - offset);
    }
  }
}

}  // namespace mantissa::kernels
