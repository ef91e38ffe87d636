#include "formats/int4_grid.h"

#include <cstdint>
#include <cstring>

#include <gtest/gtest.h>

namespace mantissa {
namespace {

// Bytes 0 to 255: every pair of nibbles.
TEST(Int4GridTest, CodesAreTheNibblesOfTheColumns) {
  HostTensor qdata(DType::Int8, {2, 4, 32});
  for (std::int64_t i = 0; i < 256; ++i) {
    qdata.as<std::uint8_t>()[i] = static_cast<std::uint8_t>(i);
  }
  const HostTensor codes = int4_codes(qdata.view());
  EXPECT_EQ(codes.shape(), (Shape{2, 4, 64}));
  for (int i = 0; i < 256; ++i) {
    const int low = i % 16;
    const int high = i / 16;
    ASSERT_EQ(codes.as<std::int8_t>()[2 * i], low < 8 ? low : low - 16);
    ASSERT_EQ(codes.as<std::int8_t>()[2 * i + 1], high < 8 ? high : high - 16);
  }
  const HostTensor back = int4_qdata(codes.view());
  EXPECT_EQ(back.shape(), qdata.shape());
  EXPECT_EQ(std::memcmp(back.data(), qdata.data(), 256), 0);
}

TEST(Int4GridTest, GroupsAndRowsAreExchangedInEachMatrix) {
  for (const DType dtype : {DType::Float32, DType::BFloat16}) {
    HostTensor values(dtype, {2, 3, 5});
    const auto put = [&](std::int64_t i, int value) {
      if (dtype == DType::Float32) {
        values.as<float>()[i] = static_cast<float>(value);
      } else {
        values.as<std::uint16_t>()[i] = static_cast<std::uint16_t>(value);
      }
    };
    for (int i = 0; i < 30; ++i) put(i, i);
    const HostTensor out = int4_exchanged(values.view());
    EXPECT_EQ(out.shape(), (Shape{2, 5, 3}));
    for (int e = 0; e < 2; ++e) {
      for (int row = 0; row < 5; ++row) {
        for (int group = 0; group < 3; ++group) {
          const std::int64_t at = (e * 5 + row) * 3 + group;
          const int expected = (e * 3 + group) * 5 + row;
          const int found = dtype == DType::Float32
                                ? static_cast<int>(out.as<float>()[at])
                                : out.as<std::uint16_t>()[at];
          ASSERT_EQ(found, expected);
        }
      }
    }
    const HostTensor back = int4_exchanged(out.view());
    EXPECT_EQ(back.shape(), values.shape());
    EXPECT_EQ(
        std::memcmp(back.data(), values.data(), values.view().bytes().size()),
        0);
  }
}

}  // namespace
}  // namespace mantissa
