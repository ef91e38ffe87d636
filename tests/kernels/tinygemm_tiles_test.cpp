#include "kernels/common/tinygemm_tiles.h"

#include <cstdint>
#include <vector>

#include <gtest/gtest.h>
#include <rapidcheck.h>

namespace mantissa::kernels {
namespace {

// The code of word [ko][t][j], nibble i, by the element list of the layout.
std::uint8_t expected_code(const std::vector<std::uint8_t>& codes,
                           std::int64_t columns,
                           int ikt,
                           std::int64_t word,
                           int i) {
  const std::int64_t j = word % (ikt / 2);
  const std::int64_t t = word / (ikt / 2) % 32;
  const std::int64_t ko = word / (ikt / 2) / 32;
  constexpr int kColumns[] = {0, 8, 16, 24, 1, 9, 17, 25};
  const std::int64_t k = 16 * ikt * ko + 32 * j + 2 * (t % 4) + kColumns[i];
  return codes[static_cast<std::size_t>(t / 4 * columns + k)];
}

TEST(TinygemmTilesTest, FollowsTheElementListAndInverts) {
  for (const int ikt : {2, 4, 8}) {
    for (const std::int64_t tiles : {1, 2, 5}) {
      const std::int64_t columns = 16 * ikt * tiles;
      std::vector<std::uint8_t> codes(
          static_cast<std::size_t>(kTileRows * columns));
      std::uint32_t seed = 7;
      for (std::uint8_t& code : codes) {
        seed = seed * 1664525u + 1013904223u;
        code = static_cast<std::uint8_t>(seed >> 28);
      }
      std::vector<std::uint32_t> words(static_cast<std::size_t>(columns));
      pack_tinygemm_tile_row(codes.data(), columns, ikt, words.data());
      for (std::int64_t w = 0; w < columns; ++w) {
        for (int i = 0; i < kTileWordCodes; ++i) {
          ASSERT_EQ((words[static_cast<std::size_t>(w)] >> (4 * i)) & 0xf,
                    expected_code(codes, columns, ikt, w, i))
              << "inner_k_tiles " << ikt << " word " << w << " nibble " << i;
        }
      }
      std::vector<std::uint8_t> back(codes.size());
      unpack_tinygemm_tile_row(words.data(), columns, ikt, back.data());
      EXPECT_EQ(back, codes);
    }
  }
}

TEST(TinygemmTilesTest, EveryWordHoldsEightCodesOfOneRow) {
  // A permutation: each code of the tile row stands in exactly one nibble.
  std::vector<std::uint8_t> codes(8 * 128, 0);
  for (std::size_t at = 0; at < codes.size(); ++at) {
    codes[at] = 0xf;
    std::vector<std::uint32_t> words(128);
    pack_tinygemm_tile_row(codes.data(), 128, 8, words.data());
    int nibbles = 0;
    for (const std::uint32_t word : words) nibbles += __builtin_popcount(word);
    ASSERT_EQ(nibbles, 4) << "code " << at;
    codes[at] = 0;
  }
}

}  // namespace
}  // namespace mantissa::kernels
