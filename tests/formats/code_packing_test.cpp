#include "formats/code_packing.h"

#include <gtest/gtest.h>

#include <random>

namespace mantissa {
namespace {

// Bit `at` of dense words, `stride` words apart.
void set_bit(std::vector<std::uint32_t>& words,
             std::int64_t at,
             std::int64_t stride) {
  words[static_cast<std::size_t>(at / 32 * stride)] |= 1u << (at % 32);
}

// The definition, a bit at a time.
std::vector<std::uint32_t> packed_by_bits(const std::vector<std::int8_t>& codes,
                                          int bits,
                                          std::int64_t stride,
                                          std::size_t size) {
  std::vector<std::uint32_t> words(size);
  for (std::size_t i = 0; i < codes.size(); ++i) {
    const int code = codes[i] + (1 << (bits - 1));
    for (int b = 0; b < bits; ++b) {
      const auto at = static_cast<std::int64_t>(i) * bits + b;
      if ((code >> b & 1) != 0) set_bit(words, at, stride);
    }
  }
  return words;
}

std::vector<std::int8_t> random_codes(std::int64_t count, int bits) {
  std::mt19937 engine(static_cast<unsigned>(count * 8 + bits));
  const int half = 1 << (bits - 1);
  std::uniform_int_distribution<int> code(-half, half - 1);
  std::vector<std::int8_t> codes;
  for (std::int64_t i = 0; i < count; ++i) {
    codes.push_back(static_cast<std::int8_t>(code(engine)));
  }
  return codes;
}

constexpr std::int64_t kCounts[] = {
    0, 1, 7, 8, 9, 15, 16, 23, 31, 32, 33, 40, 63, 100, 576};

TEST(CodePacking, IsTheDefinitionForEveryWidth) {
  for (int bits = 1; bits <= 8; ++bits) {
    for (const std::int64_t count : kCounts) {
      for (const std::int64_t stride : {1, 3}) {
        SCOPED_TRACE(testing::Message()
                     << bits << " bits, " << count << " codes, words " << stride
                     << " apart");
        const std::vector<std::int8_t> codes = random_codes(count, bits);
        const auto size = static_cast<std::size_t>(
            packed_words(count, bits, CodeLayout::Dense) * stride);
        std::vector<std::uint32_t> words(size);
        pack_codes({codes.data()}, count, bits, {words.data(), stride});
        EXPECT_EQ(words, packed_by_bits(codes, bits, stride, size));
        std::vector<std::int8_t> back(codes.size());
        unpack_codes({words.data(), stride},
                     count,
                     bits,
                     CodeLayout::Dense,
                     {back.data()});
        EXPECT_EQ(back, codes);
      }
    }
  }
}

// Codes in a column, as zero points of asymmetric schemes are packed.
TEST(CodePacking, TakesCodesThatLieApart) {
  for (int bits = 1; bits <= 8; ++bits) {
    const std::vector<std::int8_t> codes = random_codes(70, bits);
    std::vector<std::int8_t> column(codes.size() * 5);
    for (std::size_t i = 0; i < codes.size(); ++i) column[i * 5] = codes[i];
    const auto size =
        static_cast<std::size_t>(packed_words(70, bits, CodeLayout::Dense));
    std::vector<std::uint32_t> words(size);
    pack_codes({column.data(), 5}, 70, bits, {words.data()});
    EXPECT_EQ(words, packed_by_bits(codes, bits, 1, size)) << bits;
    std::vector<std::int8_t> back(column.size());
    unpack_codes({words.data()}, 70, bits, CodeLayout::Dense, {back.data(), 5});
    EXPECT_EQ(back, column) << bits;
  }
}

// Ten codes of three bits a word, as compressed-tensors before 0.18.
TEST(CodePacking, ReadsPaddedWords) {
  const std::vector<std::uint32_t> words = {
      0b11'000'001'010'011'100'101'110'111'000'001u, 0b111u};
  std::vector<std::int8_t> codes(11);
  EXPECT_EQ(packed_words(11, 3, CodeLayout::Padded), 2);
  unpack_codes({words.data()}, 11, 3, CodeLayout::Padded, {codes.data()});
  EXPECT_EQ(codes,
            (std::vector<std::int8_t>{-3, -4, 3, 2, 1, 0, -1, -2, -3, -4, 3}));
}

}  // namespace
}  // namespace mantissa
