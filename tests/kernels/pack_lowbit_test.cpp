#include "kernels/pack_lowbit.h"

#include <cstring>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <mantissa/core/worker_pool.h>

#include "kernels/lowbit_cases.h"
#include "kernels/pack_cases.h"

namespace mantissa::kernels {
namespace {

// A matrix of codes and where its groups end.
struct Matrix {
  int bits;
  std::int64_t n;
  std::int64_t k;
  std::int64_t sum_chunks;

  std::int64_t chunks() const { return (k + 31) / 32; }
  std::int64_t tiles() const { return (n + 15) / 16; }
  std::size_t packed_bytes() const {
    return static_cast<std::size_t>(tiles() * chunks() * bits * 64);
  }
  std::size_t sums() const {
    return static_cast<std::size_t>(tiles() * chunks() / sum_chunks * 16);
  }
};

std::string text(const Matrix& m) {
  return "bits " + std::to_string(m.bits) + " [" + std::to_string(m.n) + ", " +
         std::to_string(m.k) + "] chunks of a sum " +
         std::to_string(m.sum_chunks);
}

// Rows around a tile and two, columns around a chunk and a few.
std::vector<Matrix> matrices() {
  std::vector<Matrix> out;
  for (int bits = 1; bits <= 8; ++bits) {
    for (const std::int64_t n : {1, 7, 8, 9, 15, 16, 17, 32, 35}) {
      for (const std::int64_t k : {1, 3, 31, 32, 33, 64, 95, 96, 100, 192}) {
        const std::int64_t chunks = (k + 31) / 32;
        out.push_back({bits, n, k, chunks});
        if (chunks > 1) out.push_back({bits, n, k, 1});
        if (chunks == 6) out.push_back({bits, n, k, 2});
      }
    }
  }
  return out;
}

// Any byte: what a width does not have loses its upper bits.
std::vector<std::uint8_t> any_bytes(std::int64_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<std::uint8_t> out(static_cast<std::size_t>(count));
  for (std::uint8_t& byte : out) byte = static_cast<std::uint8_t>(random());
  return out;
}

// The byte of a row and a value of stored K.
std::uint8_t byte_at(const Matrix& m,
                     const std::vector<std::uint8_t>& codes,
                     const std::vector<std::uint8_t>& padding,
                     std::int64_t row,
                     std::int64_t k) {
  if (row >= m.n) return 0;
  const std::uint8_t code = k < m.k
                                ? codes[static_cast<std::size_t>(row * m.k + k)]
                                : padding[static_cast<std::size_t>(row)];
  return static_cast<std::uint8_t>(code + (1 << (m.bits - 1)));
}

// Where bit `bit` of a byte lies in a chunk, in bits: by the layout's words.
std::size_t bit_place(int bits, std::int64_t column, std::int64_t k, int bit) {
  const std::int64_t unit = k / 4;
  const std::int64_t byte = 4 * column + k % 4;
  if (bits == 8) return static_cast<std::size_t>((unit * 64 + byte) * 8 + bit);
  std::int64_t plane = 0;  // its first byte
  int low = 0;             // its lowest bit
  int width = 0;
  for (const int w : {4, 2, 1}) {
    if ((bits & w) == 0) continue;
    width = w;
    if (bit < low + w) break;
    low += w;
    plane += w * 64;
  }
  const std::int64_t each = 8 / width;  // units of a byte
  return static_cast<std::size_t>((plane + unit / each * 64 + byte) * 8 +
                                  unit % each * width + bit - low);
}

std::vector<std::uint8_t> expected(const Matrix& m,
                                   const std::vector<std::uint8_t>& codes,
                                   const std::vector<std::uint8_t>& padding) {
  std::vector<std::uint8_t> out(m.packed_bytes());
  for (std::int64_t row = 0; row < m.tiles() * 16; ++row) {
    for (std::int64_t k = 0; k < m.chunks() * 32; ++k) {
      const std::uint8_t byte = byte_at(m, codes, padding, row, k);
      const auto chunk = static_cast<std::size_t>(
          (row / 16 * m.chunks() + k / 32) * m.bits * 64 * 8);
      for (int bit = 0; bit < m.bits; ++bit) {
        const std::size_t at = chunk + bit_place(m.bits, row % 16, k % 32, bit);
        out[at / 8] |= static_cast<std::uint8_t>((byte >> bit & 1) << at % 8);
      }
    }
  }
  return out;
}

std::vector<std::int64_t> expected_sums(
    const Matrix& m,
    const std::vector<std::uint8_t>& codes,
    const std::vector<std::uint8_t>& padding) {
  std::vector<std::int64_t> out(m.sums());
  for (std::int64_t row = 0; row < m.n; ++row) {
    for (std::int64_t k = 0; k < m.chunks() * 32; ++k) {
      const std::int64_t group =
          (row / 16 * m.chunks() + k / 32) / m.sum_chunks;
      out[static_cast<std::size_t>(group * 16 + row % 16)] +=
          byte_at(m, codes, padding, row, k);
    }
  }
  return out;
}

TEST(PackLowbitKernelsTest, EveryRowPacksByTheLayout) {
  for (const Matrix& m : matrices()) {
    SCOPED_TRACE(text(m));
    const auto codes = any_bytes(m.n * m.k, 1);
    const auto padding = any_bytes(m.n, 2);
    const auto want = expected(m, codes, padding);
    const auto want_sums = expected_sums(m, codes, padding);
    for (const std::size_t shift : {0, 1, 16, 33}) {
      const Guarded from(codes, shift);
      for (const auto& kernel :
           usable(pack_lowbit_kernels(), PackLowbitProblem{m.bits})) {
        Guarded out(m.packed_bytes(), shift);
        PackLowbitArgs args;
        args.bits = m.bits;
        args.n = m.n;
        args.k = m.k;
        args.codes = from.as<std::int8_t>();
        args.padding = reinterpret_cast<const std::int8_t*>(padding.data());
        args.packed = out.as<std::uint8_t>();
        kernel.run(args, 0, m.tiles());
        ASSERT_TRUE(out.holds(want)) << kernel.name << " shift " << shift;
        // Tile by tile, with sums of each call's own.
        Guarded again(m.packed_bytes(), shift);
        args.packed = again.as<std::uint8_t>();
        args.sum_chunks = m.sum_chunks;
        const auto each = static_cast<std::int64_t>(m.sums()) / m.tiles();
        for (std::int64_t tile = 0; tile < m.tiles(); ++tile) {
          std::vector<std::int64_t> sums(static_cast<std::size_t>(each), -1);
          args.sums = sums.data();
          kernel.run(args, tile, tile + 1);
          const auto first = want_sums.begin() + tile * each;
          ASSERT_EQ(sums, std::vector<std::int64_t>(first, first + each))
              << kernel.name << " tile " << tile;
        }
        ASSERT_TRUE(again.holds(want)) << kernel.name;
        std::vector<std::int64_t> sums(m.sums(), -1);
        args.sums = sums.data();
        kernel.run(args, 0, m.tiles());
        ASSERT_EQ(sums, want_sums) << kernel.name;
      }
    }
  }
}

// What padding holds is not written anywhere.
TEST(PackLowbitKernelsTest, EveryRowUnpacksWhatWasPacked) {
  for (const Matrix& m : matrices()) {
    SCOPED_TRACE(text(m));
    const auto codes = random_codes(m.bits, CodeRange::Signed, m.n * m.k, 3);
    const auto packed = expected(m, codes, any_bytes(m.n, 4));
    for (const std::size_t shift : {0, 1, 16, 33}) {
      const Guarded from(packed, shift);
      for (const auto& kernel :
           usable(unpack_lowbit_kernels(), PackLowbitProblem{m.bits})) {
        Guarded out(codes.size(), shift);
        const UnpackLowbitArgs args = {
            m.bits, m.n, m.k, from.as<std::uint8_t>(), out.as<std::int8_t>()};
        kernel.run(args, 0, m.tiles() / 2);
        kernel.run(args, m.tiles() / 2, m.tiles());
        ASSERT_TRUE(out.holds(codes)) << kernel.name << " shift " << shift;
      }
    }
  }
}

TEST(PackLowbitKernelsTest, ThreadsPackTilesOfTheirOwn) {
  for (int bits = 1; bits <= 8; ++bits) {
    const Matrix m = {bits, 1000, 200, 7};
    const auto codes = any_bytes(m.n * m.k, 5);
    const auto padding = any_bytes(m.n, 6);
    const auto want = expected(m, codes, padding);
    for (const auto& kernel :
         usable(pack_lowbit_kernels(), PackLowbitProblem{bits})) {
      for (const int threads : {1, 2}) {
        std::vector<std::uint8_t> out(m.packed_bytes());
        PackLowbitArgs args;
        args.bits = bits;
        args.n = m.n;
        args.k = m.k;
        args.codes = reinterpret_cast<const std::int8_t*>(codes.data());
        args.padding = reinterpret_cast<const std::int8_t*>(padding.data());
        args.packed = out.data();
        WorkerPool(threads).run(7, [&](std::int64_t part, int) {
          kernel.run(args, part * m.tiles() / 7, (part + 1) * m.tiles() / 7);
        });
        EXPECT_EQ(out, want) << kernel.name << " threads " << threads;
      }
    }
  }
}

// More chunks than the sums of a vector hold at a time.
TEST(PackLowbitKernelsTest, LongRowsHaveExactSums) {
  const Matrix m = {8, 3, 70000 * 32 - 5, 70000};
  const std::vector<std::uint8_t> codes(static_cast<std::size_t>(m.n * m.k),
                                        0x7f);
  const std::vector<std::uint8_t> padding = {0x7f, 0x80, 0};
  for (const auto& kernel :
       usable(pack_lowbit_kernels(), PackLowbitProblem{m.bits})) {
    std::vector<std::uint8_t> out(m.packed_bytes());
    std::vector<std::int64_t> sums(16, -1);
    PackLowbitArgs args;
    args.bits = m.bits;
    args.n = m.n;
    args.k = m.k;
    args.codes = reinterpret_cast<const std::int8_t*>(codes.data());
    args.padding = reinterpret_cast<const std::int8_t*>(padding.data());
    args.packed = out.data();
    args.sums = sums.data();
    args.sum_chunks = m.sum_chunks;
    kernel.run(args, 0, 1);
    std::vector<std::int64_t> want(16);
    want[0] = m.k * 255 + 5 * 255;
    want[1] = m.k * 255;
    want[2] = m.k * 255 + 5 * 128;
    EXPECT_EQ(sums, want) << kernel.name;
  }
}

// The layout's two ways to its sums, one over the codes, one while they are
// packed, agree to the bit.
TEST(PackLowbitKernelsTest, SumsWhilePackingAreThoseOfTheCodes) {
  std::mt19937 random(7);
  for (int bits = 1; bits <= 8; ++bits) {
    for (const auto& [n, k, group] :
         std::vector<std::tuple<std::int64_t, std::int64_t, std::int64_t>>{
             {1, 32, 32},
             {17, 96, 32},
             {33, 576, 64},
             {16, 192, 192},
             {5, 1, 1},
             {20, 33, 33},
             {35, 100, 100}}) {
      for (const bool zeros : {false, true}) {
        for (const LowbitOffsets offsets :
             {LowbitOffsets::None, LowbitOffsets::Near}) {
          if (zeros && offsets != LowbitOffsets::None) continue;
          LowbitCase c{{bits, n, k, group}, zeros, LowbitScale::F16};
          c.offsets = offsets;
          const LowbitCaseWeight w(c, random);
          const std::int64_t tiles = c.layout.tiles();
          std::vector<float> want(static_cast<std::size_t>(tiles * 16), -1);
          lowbit_sums(
              c.layout, w.codes().data(), w.view(), 0, tiles, want.data());
          std::vector<float> sums(want.size(), -1);
          std::vector<std::uint8_t> packed(w.packed().size());
          const auto pack = [&](std::int64_t begin, std::int64_t end) {
            pack_lowbit_with_sums(c.layout,
                                  w.codes().data(),
                                  w.view(),
                                  begin,
                                  end,
                                  {packed.data(), sums.data()});
          };
          pack(tiles / 2, tiles);
          pack(0, tiles / 2);
          EXPECT_EQ(packed, w.packed()) << bits << " [" << n << ", " << k;
          EXPECT_EQ(std::memcmp(
                        sums.data(), want.data(), sums.size() * sizeof(float)),
                    0)
              << bits << " [" << n << ", " << k << "] group " << group;
        }
      }
    }
  }
}

}  // namespace
}  // namespace mantissa::kernels
