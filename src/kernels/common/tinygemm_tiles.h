#pragma once

#include <cstdint>

namespace mantissa::kernels {

// The 4-D layout of tinygemm, [N/8][K/(16*ikt)][32][ikt/2] words of 32 bits,
// ikt = inner_k_tiles in {2, 4, 8}. One tile row holds 8 rows of the matrix:
//
//   word [ko][t][j], t = 0..31, j = 0..ikt/2-1, belongs to row t / 4 and to the
//   columns k0 + {0, 8, 16, 24, 1, 9, 17, 25}, k0 = 16*ikt*ko + 32*j + 2*(t%4)
//
//   bits 31..28 27..24 23..20 19..16 15..12 11..8   7..4   3..0
//        k0+25  k0+17  k0+9   k0+1   k0+24  k0+16  k0+8   k0
//
// Codes are unsigned, 0..15; the matrix product subtracts 8.

constexpr int kTileRows = 8;
constexpr int kTileWordCodes = 8;
constexpr int kTileWordColumns[kTileWordCodes] = {0, 8, 16, 24, 1, 9, 17, 25};

/// Packs 8 rows of `columns` codes (row r at codes + r * columns) into
/// columns words. `columns` is a multiple of 16 * inner_k_tiles.
inline void pack_tinygemm_tile_row(const std::uint8_t* codes,
                                   std::int64_t columns,
                                   int inner_k_tiles,
                                   std::uint32_t* words) {
  const std::int64_t span = 16 * inner_k_tiles;
  for (std::int64_t base = 0; base < columns; base += span) {
    for (int t = 0; t < 32; ++t) {
      const std::uint8_t* row = codes + (t / 4) * columns + base + 2 * (t % 4);
      for (int j = 0; j < inner_k_tiles / 2; ++j) {
        std::uint32_t word = 0;
        for (int i = 0; i < kTileWordCodes; ++i) {
          word |= std::uint32_t{row[32 * j + kTileWordColumns[i]]} << (4 * i);
        }
        *words++ = word;
      }
    }
  }
}

/// The inverse of pack_tinygemm_tile_row.
inline void unpack_tinygemm_tile_row(const std::uint32_t* words,
                                     std::int64_t columns,
                                     int inner_k_tiles,
                                     std::uint8_t* codes) {
  const std::int64_t span = 16 * inner_k_tiles;
  for (std::int64_t base = 0; base < columns; base += span) {
    for (int t = 0; t < 32; ++t) {
      std::uint8_t* row = codes + (t / 4) * columns + base + 2 * (t % 4);
      for (int j = 0; j < inner_k_tiles / 2; ++j) {
        const std::uint32_t word = *words++;
        for (int i = 0; i < kTileWordCodes; ++i) {
          row[32 * j + kTileWordColumns[i]] =
              static_cast<std::uint8_t>((word >> (4 * i)) & 0xf);
        }
      }
    }
  }
}

}  // namespace mantissa::kernels
