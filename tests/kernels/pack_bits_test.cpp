#include "kernels/pack_bits.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <string>
#include <tuple>
#include <vector>

#include "kernels/pack_cases.h"

namespace mantissa::kernels {
namespace {

constexpr int kBlocks[] = {32, 64, 128};
constexpr CodeRange kRanges[] = {CodeRange::Signed, CodeRange::Index};
constexpr Stores kStores[] = {Stores::Cached, Stores::Streaming};

struct Golden {
  int bits;
  const char* hex;  // n = 32
  std::uint32_t crc[3];
};

// torchao's own code, NEON and portable, on v[i] = (37 i + 11 + (i >> 3)) mod
// 2^b; 8-bit codes are the same bits.
constexpr Golden kGolden[] = {
    {1, "aa55aa55", {0x260c3b3e, 0xb69c98c1, 0xc2d46a7e}},
    {2, "c61b6cb1c61b6cb1", {0xd8d8ed92, 0xb0817157, 0x83e986ae}},
    {3, "58aa7ca1f345ea3c0e334597", {0xdc944ea1, 0xff845fc5, 0x77d1c611}},
    {4,
     "db2075ca1f64b90e64b90e53a8fd4297",
     {0xfac71252, 0x991869c0, 0xb35d5997}},
    {5,
     "0b559fc94e347ea8f2935d87d11b2466b0fa2479",
     {0x73c49d8d, 0x085a8dc4, 0xdc69677b}},
    {6,
     "8bf0157a9fc4294e74993e6388ed52b71d8267cc71d6bb20",
     {0x0a184bfd, 0x28b07c24, 0x62394423}},
    {7,
     "0bb0d5fa1f4469b4d9fe23c8ed125d02274c7196bb862b50f51a3f64",
     {0xa8a855bc, 0x0035afe9, 0x046d90c4}},
    {8,
     "0b30557a9fc4e90e34597ea3c8ed12375d82a7ccf1163b6086abd0f51a3f6489",
     {0xef3b4d97, 0x1943bce8, 0x59fd8530}},
};

TEST(PackBitsTest, GoldenBytesOfEveryRow) {
  for (const auto& kernel : usable(pack_bits_kernels(), PackBitsProblem{})) {
    for (const Golden& golden : kGolden) {
      for (int i = 0; i < 3; ++i) {
        const int block = kBlocks[i];
        const auto codes = ramp_codes(golden.bits, block, true);
        std::vector<std::uint8_t> packed(
            static_cast<std::size_t>(block * golden.bits / 8));
        ASSERT_TRUE(kernel.run({golden.bits, block, CodeRange::Signed},
                               {codes.data(), 1, packed.data()}));
        EXPECT_EQ(crc32(packed), golden.crc[i])
            << kernel.name << " bits " << golden.bits << " block " << block;
        if (block == 32) {
          EXPECT_EQ(hex(packed), golden.hex) << kernel.name;
        }
      }
    }
  }
}

// Signed and indexed codes of the same stored values give the same bytes.
TEST(PackBitsTest, IndicesAreStoredAsTheyAre) {
  for (const auto& kernel : usable(pack_bits_kernels(), PackBitsProblem{})) {
    for (const Golden& golden : kGolden) {
      const auto codes = ramp_codes(golden.bits, 128, false);
      std::vector<std::uint8_t> packed(
          static_cast<std::size_t>(128 * golden.bits / 8));
      ASSERT_TRUE(kernel.run({golden.bits, 128, CodeRange::Index},
                             {codes.data(), 1, packed.data()}));
      EXPECT_EQ(crc32(packed), golden.crc[2])
          << kernel.name << " bits " << golden.bits;
    }
  }
}

// Runs `f` for every width, block, range, number of blocks and alignment.
template <class F>
void for_each_case(const F& f) {
  for (int bits = 1; bits <= 8; ++bits) {
    for (const int block : kBlocks) {
      for (const CodeRange range : kRanges) {
        for (const std::int64_t blocks :
             {0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 33, 67}) {
          for (const std::size_t shift : {0, 1, 16, 33}) {
            SCOPED_TRACE("bits " + std::to_string(bits) + " block " +
                         std::to_string(block) + " range " +
                         std::to_string(static_cast<int>(range)) + " blocks " +
                         std::to_string(blocks) + " shift " +
                         std::to_string(shift));
            f(PackBitsProblem{bits, block, range}, blocks, shift);
          }
        }
      }
    }
  }
}

TEST(PackBitsTest, EveryRowEqualsTheReference) {
  for_each_case([](const PackBitsProblem& problem,
                   std::int64_t blocks,
                   std::size_t shift) {
    const std::int64_t count = blocks * problem.block;
    const auto bytes = static_cast<std::size_t>(count * problem.bits / 8);
    const Guarded codes(random_codes(problem.bits, problem.range, count, 3),
                        shift);
    std::vector<std::uint8_t> want(bytes + 1);
    ASSERT_TRUE(run_pack_bits_ref(
        problem, {codes.as<std::int8_t>(), blocks, want.data()}));
    want.resize(bytes);
    for (const auto& kernel : usable(pack_bits_kernels(), problem)) {
      for (const Stores stores : kStores) {
        Guarded out(bytes, shift);
        ASSERT_TRUE(kernel.run(
            problem,
            {codes.as<std::int8_t>(), blocks, out.as<std::uint8_t>(), stores}));
        EXPECT_TRUE(out.holds(want)) << kernel.name;
      }
    }
    for (const auto& kernel : usable(unpack_bits_kernels(), problem)) {
      for (const Stores stores : kStores) {
        const Guarded packed(want, shift);
        Guarded out(static_cast<std::size_t>(count), shift);
        kernel.run(
            problem,
            {packed.as<std::uint8_t>(), blocks, out.as<std::int8_t>(), stores});
        EXPECT_TRUE(out.holds(codes.bytes())) << kernel.name;
      }
    }
  });
}

// Every code outside the range, wherever it stands, is seen.
TEST(PackBitsTest, CodesOutOfRangeAreRefused) {
  for (int bits = 1; bits <= 7; ++bits) {
    for (const CodeRange range : kRanges) {
      const int low = range == CodeRange::Signed ? -(1 << (bits - 1)) : 0;
      const int high = low + (1 << bits) - 1;
      for (const int block : kBlocks) {
        const PackBitsProblem problem{bits, block, range};
        const std::int64_t blocks = 1024 / block + 1;
        auto codes = random_codes(bits, range, blocks * block, 5);
        std::vector<std::uint8_t> packed(codes.size());
        for (std::size_t at = 0; at < codes.size(); at += 37) {
          for (int bad = -128; bad < 128; ++bad) {
            if (bad >= low && bad <= high) continue;
            const std::uint8_t good = codes[at];
            codes[at] = static_cast<std::uint8_t>(bad);
            const auto* data = reinterpret_cast<std::int8_t*>(codes.data());
            for (const auto& kernel : usable(pack_bits_kernels(), problem)) {
              ASSERT_FALSE(kernel.run(problem, {data, blocks, packed.data()}))
                  << kernel.name << " code " << bad << " at " << at;
            }
            ASSERT_EQ(first_out_of_range(bits, range, data, blocks * block),
                      static_cast<std::int64_t>(at));
            codes[at] = good;
          }
        }
      }
    }
  }
}

TEST(PackBitsTest, TheFirstOfSeveralIsNamed) {
  std::vector<std::int8_t> codes(300, 0);
  EXPECT_EQ(first_out_of_range(4, CodeRange::Signed, codes.data(), 300), -1);
  codes[299] = 8;
  codes[17] = -9;
  codes[18] = 7;
  EXPECT_EQ(first_out_of_range(4, CodeRange::Signed, codes.data(), 300), 17);
  EXPECT_EQ(first_out_of_range(8, CodeRange::Signed, codes.data(), 300), -1);
}

}  // namespace
}  // namespace mantissa::kernels
